package activities

import (
	"context"
	"errors"
	"time"

	"github.com/rankrsync/rankrsync/crm"
)

// ConnectRound names a location that is to be connected, or that GHL says is not any more.
type ConnectRound struct {
	Location    string    `json:"location"`
	Uninstalled time.Time `json:"uninstalled,omitzero"` // when GHL says that the app was uninstalled
}

// Validate returns an error when the location can't be real, or nil.
func (r ConnectRound) Validate() error {
	if crm.ValidID(r.Location) {
		return nil
	}
	return &crm.Error{Code: crm.InvalidInput, Operation: "input", Fields: []string{"location"}}
}

// ConnectAnswer is how a location stands after one of the steps. It is the result of ConnectLocation.
type ConnectAnswer struct {
	Location string              `json:"location"`
	State    crm.ConnectionState `json:"state,omitempty"`
	// CustomFields is how many custom fields contacts have there.
	CustomFields int `json:"customFields,omitempty"`
	// Backfill tells whether the contacts that are there already are loaded: "started", or "offered" to people, who start it.
	Backfill string `json:"backfill,omitempty"`
	// Parked is the code for which the location can't work until somebody acts, or why it is disconnected; empty: it works.
	Parked crm.Code `json:"parked,omitempty"`
}

// Connect has the steps by which a location is connected, and disconnected. Each can be done twice. All fields but Backfill are needed.
type Connect struct {
	Source      Prover
	Fields      Fields
	Connections Connections
	Polls       Scheduler
	Parking     Parking
	Nudge       Poller
	Backfill    Backfiller // nil: people start backfills
}

// Backfiller has a location loaded whole, unless that is under way.
type Backfiller interface {
	Backfill(ctx context.Context, location string) error
}

// Prover makes the cheap call that proves a token: a [crm.Source] has it.
type Prover interface {
	Location(ctx context.Context, location string) (crm.Location, time.Time, error)
}

// Fields reads the dictionary of a location's custom fields and tells how many there are.
type Fields interface {
	CustomFields(ctx context.Context, location string) (int, error)
}

// Connections is what is known of who may speak for a location.
type Connections interface {
	Standing
	PutConnection(ctx context.Context, connection crm.Connection) error
	// Disconnect forgets the location's token and keeps its links; [crm.UnknownLocation] where there is no connection.
	Disconnect(ctx context.Context, location string) error
}

// Scheduler makes and removes the poll schedule of a location. Making one that is there, or removing one that is not, is fine.
type Scheduler interface {
	SchedulePoll(ctx context.Context, location string) error
	StopPoll(ctx context.Context, location string) error
}

// Parking stops the rounds of a location and lets them run again.
type Parking interface {
	ParkLocation(ctx context.Context, location string, code crm.Code) error
	Unpark(ctx context.Context, location string) error
}

// Poller asks for a poll of the location at once, and is content where none is scheduled.
type Poller interface {
	TryPoll(ctx context.Context, location string) error
}

// gone tells whether GHL says for good that we may not speak for the location. A paused location does not, nor a missing
// scope: GHL knows that token. Neither does a token that is refused for a header of ours or for its kind. A company's token
// that gives none for a location any more is refused as a wrong request.
func gone(kind crm.TokenKind, err error) bool {
	switch {
	case err == nil:
		return false
	case hasCode(err, crm.GHLToken):
		return len(safe(err).Fields) == 0
	case hasCode(err, crm.GHLInvalid, crm.GHLNotFound):
		return kind == crm.MintedToken
	}
	return hasCode(err, crm.GHLReconnect, crm.GHLTenant, crm.UnknownLocation)
}

// ProveConnection makes one cheap call with the location's token, and notes what GHL calls the location.
func (c *Connect) ProveConnection(ctx context.Context, in ConnectRound) (ConnectAnswer, error) {
	return c.step(ctx, in, func(answer *ConnectAnswer) error {
		found, _, err := c.Source.Location(ctx, in.Location)
		if err != nil {
			return c.refused(ctx, answer, err)
		}
		answer.State = crm.Connected
		return c.name(ctx, found)
	})
}

// name stays out of the answer: it may be a person's.
func (c *Connect) name(ctx context.Context, found crm.Location) error {
	connection, err := c.Connections.Connection(ctx, found.ID)
	if err != nil || connection.Location == "" || found.Name == "" || found.Name == connection.Name {
		return storeError(err)
	}
	connection.Name = found.Name
	return storeError(c.Connections.PutConnection(ctx, connection))
}

// ReadFields reads the custom fields of the location, so that the first contacts find them there, and a scope that is missing
// shows now.
func (c *Connect) ReadFields(ctx context.Context, in ConnectRound) (ConnectAnswer, error) {
	return c.step(ctx, in, func(answer *ConnectAnswer) error {
		fields, err := c.Fields.CustomFields(ctx, in.Location)
		if err != nil {
			return c.refused(ctx, answer, err)
		}
		answer.State, answer.CustomFields = crm.Connected, fields
		return nil
	})
}

// RecordConnection notes that the location is connected, unless somebody disconnected it meanwhile. One whose token stands in
// the settings has no connection to note.
func (c *Connect) RecordConnection(ctx context.Context, in ConnectRound) (ConnectAnswer, error) {
	return c.step(ctx, in, func(answer *ConnectAnswer) error {
		answer.State = crm.Connected
		connection, err := c.Connections.Connection(ctx, in.Location)
		if err != nil || connection.Location == "" {
			return storeError(err)
		}
		if connection.State == crm.Disconnected {
			answer.State, answer.Parked = crm.Disconnected, crm.UnknownLocation
			return nil
		}
		return storeError(c.Connections.SetState(ctx, connection.Owner, crm.Connected))
	})
}

// SchedulePoll has the location polled from now on.
func (c *Connect) SchedulePoll(ctx context.Context, in ConnectRound) error {
	_, err := c.step(ctx, in, func(*ConnectAnswer) error { return nudgeError(c.Polls.SchedulePoll(ctx, in.Location)) })
	return err
}

// ResumeLocation lets the location's rounds run again. The poll that it asks for hands over what was parked.
func (c *Connect) ResumeLocation(ctx context.Context, in ConnectRound) error {
	_, err := c.step(ctx, in, func(*ConnectAnswer) error {
		if err := c.Parking.Unpark(ctx, in.Location); err != nil {
			return storeError(err)
		}
		return nudgeError(c.Nudge.TryPoll(ctx, in.Location))
	})
	return err
}

// StartBackfill has the contacts loaded that are there already, where the settings say so. One that was loaded before costs a call
// for 500 contacts, and finds what happened while it was not connected.
func (c *Connect) StartBackfill(ctx context.Context, in ConnectRound) (ConnectAnswer, error) {
	return c.step(ctx, in, func(answer *ConnectAnswer) error {
		answer.Backfill = "offered"
		if c.Backfill == nil {
			return nil
		}
		answer.Backfill = "started"
		return nudgeError(c.Backfill.Backfill(ctx, in.Location))
	})
}

// ConfirmUninstall looks whether the location is really lost to us: [crm.Disconnected] when it is. It is not when it was
// installed again since, or when its token still works: then the app was uninstalled elsewhere, in the location's company say.
// What GHL does not answer proves nothing.
func (c *Connect) ConfirmUninstall(ctx context.Context, in ConnectRound) (ConnectAnswer, error) {
	return c.step(ctx, in, func(answer *ConnectAnswer) error {
		connection, since, err := c.installedSince(ctx, in)
		if err != nil || since {
			return err
		}
		_, _, err = c.Source.Location(ctx, in.Location)
		switch {
		case gone(connection.Kind, err):
			answer.State, answer.Parked = crm.Disconnected, safe(err).Code
		case err != nil && safe(err).Retry() != crm.Never:
			return err
		}
		return nil
	})
}

// installedSince tells whether the app was installed after it was uninstalled: webhooks come late, and in any order.
func (c *Connect) installedSince(ctx context.Context, in ConnectRound) (crm.Connection, bool, error) {
	connection, err := c.Connections.Connection(ctx, in.Location)
	return connection, connection.Installed.After(in.Uninstalled), storeError(err)
}

// StopPoll ends the location's polls.
func (c *Connect) StopPoll(ctx context.Context, in ConnectRound) error {
	_, err := c.step(ctx, in, func(*ConnectAnswer) error { return nudgeError(c.Polls.StopPoll(ctx, in.Location)) })
	return err
}

// Disconnect forgets the location's token and keeps its links, so that nothing is made twice when it comes back. It leaves
// one alone that was installed again since. The poll is removed once more: a worker that started meanwhile may have made it anew,
// and from now on none does.
func (c *Connect) Disconnect(ctx context.Context, in ConnectRound) (ConnectAnswer, error) {
	return c.step(ctx, in, func(answer *ConnectAnswer) error {
		if _, since, err := c.installedSince(ctx, in); err != nil || since {
			return err
		}
		err := c.Connections.Disconnect(ctx, in.Location)
		if err != nil && !hasCode(err, crm.UnknownLocation) { // one that nobody connected is as good as disconnected
			return storeError(err)
		}
		answer.State, answer.Parked = crm.Disconnected, crm.UnknownLocation
		return nudgeError(c.Polls.StopPoll(ctx, in.Location))
	})
}

// step is what all have in common.
func (c *Connect) step(ctx context.Context, in ConnectRound, do func(*ConnectAnswer) error) (ConnectAnswer, error) {
	answer := ConnectAnswer{Location: in.Location}
	err := in.Validate()
	if err == nil {
		err = unpanic(ctx, in.Location, "", func() error { return do(&answer) })
	}
	return answer, leave(err)
}

// refused makes a failure that only a person can mend the connection's state, and the step's answer. Any other may go
// better the next time.
func (c *Connect) refused(ctx context.Context, answer *ConnectAnswer, cause error) error {
	if errors.Is(cause, context.Canceled) || safe(cause).Retry() != crm.Never {
		return cause
	}
	connection, err := c.Connections.Connection(ctx, answer.Location)
	if err != nil {
		return storeError(err)
	}
	answer.Parked = safe(cause).Code
	answer.State = crm.StateOf(answer.Parked)
	unknown := answer.Parked == crm.UnknownLocation
	switch {
	case unknown && (connection.Location == "" || connection.State == crm.Disconnected):
		answer.State = crm.Disconnected
		return nil
	case unknown: // it was connected, and its token is lost
		answer.State = crm.ReconnectNeeded
	case answer.State == "": // it says nothing of the token
		answer.State = connection.State
		return nil
	}
	if connection.Location != "" {
		if err := c.Connections.SetState(ctx, connection.Owner, answer.State); err != nil {
			return storeError(err)
		}
	}
	return storeError(c.Parking.ParkLocation(ctx, answer.Location, answer.Parked))
}
