package connections

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/rankrsync/rankrsync/crm"
)

// Install records what an install gave us, and returns the locations that are connected by it. Those of a company get their
// own tokens when they need them. Doing it twice, or again after an uninstall, is as good as once; a location's own token
// wins over its company's. The tokens of a grant that is [crm.Grant.Kept] are left as they are.
func (c *Connections) Install(ctx context.Context, grant crm.Grant, locations []crm.InstalledLocation) ([]crm.Connection, error) {
	if grant.AccessToken != "" {
		if err := c.put(ctx, grant.Owner(), grant.Kind, grant.Company, c.plain(grant)); err != nil {
			return nil, err
		}
	}
	base := crm.Connection{Company: grant.Company, Kind: grant.Kind, Scopes: grant.Scopes, State: crm.Connected, Installed: c.now()}
	if grant.Location != "" {
		base.Location, base.Owner = grant.Location, grant.Owner()
		if len(locations) > 0 {
			base.Name = locations[0].Name
		}
		return []crm.Connection{base}, c.connect(ctx, base)
	}
	var connected []crm.Connection
	for _, location := range locations {
		connection := base
		connection.Location, connection.Name, connection.Kind = location.ID, location.Name, crm.MintedToken
		connection.Owner = crm.LocationOwner(location.ID)
		added, err := c.mint(ctx, connection)
		if err != nil {
			return connected, err
		}
		connected = append(connected, added)
	}
	return connected, nil
}

// mint connects a location of a company, unless it has a token of its own that works.
func (c *Connections) mint(ctx context.Context, connection crm.Connection) (crm.Connection, error) {
	before, err := c.Store.Connection(ctx, connection.Location)
	if err != nil {
		return before, storeAway()
	}
	if before.Kind != crm.MintedToken && before.State == crm.Connected {
		return before, nil
	}
	if err := c.put(ctx, connection.Owner, crm.MintedToken, connection.Company, plainToken{}); err != nil {
		return connection, err
	}
	return connection, c.connect(ctx, connection)
}

// Adopt connects a location of a company that is connected: one that was made later, or got the app then. It is false for a
// company that is none of ours. Whether the location has the app, GHL says when its token is minted. It does not always tell the
// company of a location that gets the app by itself; empty, the company is found.
func (c *Connections) Adopt(ctx context.Context, location, company string) (bool, error) {
	if company == "" {
		var err error
		if company, err = c.home(ctx, location); err != nil || company == "" {
			return false, err
		}
	}
	row, err := c.Store.Token(ctx, crm.CompanyOwner(company))
	switch {
	case err != nil:
		return false, storeAway()
	case row.Version == 0:
		return false, nil
	}
	_, err = c.mint(ctx, crm.Connection{
		Location: location, Company: company, Kind: crm.MintedToken, Owner: crm.LocationOwner(location), State: crm.Connected, Installed: c.now(),
	})
	return true, err
}

// home is the company that a location has the app from: the one whose token GHL gives the location's for. It is empty where
// that is none of ours. When one can't be asked the others are, and the error says that the answer may be wrong.
func (c *Connections) home(ctx context.Context, location string) (string, error) {
	var missed error
	for after := ""; ; {
		owners, err := c.Store.TokenOwners(ctx, after, ownersAtOnce)
		if err != nil {
			return "", storeAway()
		}
		for _, after = range owners {
			_, company, _ := crm.SplitOwner(after)
			if company == "" {
				continue
			}
			token, err := c.Access(ctx, after, "")
			if err == nil {
				_, err = c.GHL.MintLocationToken(ctx, crm.Secret(token.Access), company, location)
			}
			if err == nil {
				return company, nil
			}
			if failed(err).Retry() != crm.Never {
				missed = err
			}
		}
		if len(owners) < ownersAtOnce {
			return "", missed
		}
	}
}

// put stores an owner's token; an empty one is still to be minted.
func (c *Connections) put(ctx context.Context, owner string, kind crm.TokenKind, company string, token plainToken) error {
	row := crm.SealedToken{Owner: owner, Kind: kind, Company: company, Expires: token.Expires}
	if token.Access != "" {
		var err error
		if row.Sealed, err = c.seal(owner, token); err != nil {
			return err
		}
	}
	if err := c.Store.PutToken(ctx, row); err != nil {
		return storeAway()
	}
	c.forget(owner)
	return nil
}

func (c *Connections) connect(ctx context.Context, connection crm.Connection) error {
	if c.Store.PutConnection(ctx, connection) != nil {
		return storeAway()
	}
	return nil
}

// Disconnect forgets a location's token. Its links are kept, so that nothing is made twice when it comes back.
func (c *Connections) Disconnect(ctx context.Context, location string) error {
	connection, err := c.Store.Connection(ctx, location)
	switch {
	case err != nil:
		return storeAway()
	case connection.Location == "":
		return &crm.Error{Code: crm.UnknownLocation, Operation: "disconnect"}
	}
	connection.State, connection.StateSince = crm.Disconnected, time.Time{}
	if err := c.connect(ctx, connection); err != nil {
		return err
	}
	if c.Store.DropToken(ctx, crm.LocationOwner(location)) != nil {
		return storeAway()
	}
	c.forget(crm.LocationOwner(location))
	return nil
}

// ForgetCompany forgets the token of a location's company once it is of no use: none of the company's locations is connected, and GHL
// refuses the token for good, as it does when the company uninstalled the app. While GHL takes it, it is kept: later installs
// in locations of the company come by it. The location's own connection is to be ended before.
func (c *Connections) ForgetCompany(ctx context.Context, location string) error {
	all, err := c.Store.Connections(ctx)
	if err != nil {
		return storeAway()
	}
	at := slices.IndexFunc(all, func(other crm.Connection) bool { return other.Location == location })
	if at < 0 || all[at].Kind != crm.MintedToken {
		return nil
	}
	company := all[at].Company
	if slices.ContainsFunc(all, func(other crm.Connection) bool {
		return other.Company == company && other.Kind == crm.MintedToken && other.State != crm.Disconnected
	}) {
		return nil
	}
	before, err := c.Store.Token(ctx, crm.CompanyOwner(company))
	if err != nil {
		return storeAway()
	}
	_, err = c.ask(ctx, crm.SealedToken{Owner: crm.LocationOwner(location), Kind: crm.MintedToken, Company: company}, plainToken{}, "")
	switch {
	case errors.Is(err, &crm.Error{Code: crm.GHLReconnect}):
	case err == nil || failed(err).Retry() == crm.Never:
		return nil
	default:
		return err
	}
	row, err := c.Store.Token(ctx, before.Owner)
	if err == nil && bytes.Equal(row.Sealed, before.Sealed) { // else somebody installed the app again meanwhile
		err = c.Store.DropTokenOf(ctx, row)
	}
	if err != nil && !errors.Is(err, crm.ErrMoved) {
		return storeAway()
	}
	c.forget(crm.CompanyOwner(company))
	return nil
}
