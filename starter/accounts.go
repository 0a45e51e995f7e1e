package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/rankrsync/rankrsync/app"
	"github.com/rankrsync/rankrsync/crm"
)

// account is one connected location as people and programs see it.
type account struct {
	Location  string              `json:"location"`
	Company   string              `json:"company,omitempty"`
	Name      string              `json:"name,omitempty"`
	Kind      crm.TokenKind       `json:"kind"`
	Scopes    []string            `json:"scopes"`
	State     crm.ConnectionState `json:"state"`
	Since     time.Time           `json:"since"`
	Sentence  string              `json:"sentence"`
	Remedy    string              `json:"remedy"`
	Installed time.Time           `json:"installed"`
	Expires   time.Time           `json:"expires,omitzero"` // of the token, which is renewed before
	Link      string              `json:"link,omitempty"`   // to connect again by, where that is the remedy
}

func (c *cli) connections() *cobra.Command {
	var state string
	command := &cobra.Command{
		Use:   "connections",
		Short: "List the locations that people connected, and how each stands",
		Long: "List the locations that people connected by a link: how each stands with GHL, since when, and what to do about it. " +
			"A token is renewed by itself before it expires. Those that GHL_TOKEN serves are not among them.",
		Example: example(
			"starter connections",
			"# Those that their owners must connect again", "starter connections --state reconnect-needed --output json"),
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := c.settings()
			if err != nil {
				return err
			}
			only := crm.ConnectionState(state)
			if _, ok := crm.ConnectionStates[only]; !ok && state != "" {
				return usage("--state is %s, not %q", strings.Join(states(), ", "), state)
			}
			accounts, err := app.Accounts(command.Context(), config)
			if err != nil {
				return storeError(err)
			}
			return c.printAccounts(command, slices.DeleteFunc(accounts, func(a app.Account) bool { return state != "" && a.State != only }))
		},
	}
	command.Flags().StringVar(&state, "state", "", "only those in this state: "+strings.Join(states(), ", "))
	return command
}

func states() []string {
	var all []string
	for _, state := range slices.Sorted(maps.Keys(crm.ConnectionStates)) {
		all = append(all, string(state))
	}
	return all
}

func (c *cli) printAccounts(command *cobra.Command, accounts []app.Account) error {
	where := c.installLink()
	answers := make([]account, len(accounts))
	for i, a := range accounts {
		entry := crm.ConnectionStates[a.State]
		answers[i] = account{
			Location: a.Location, Company: a.Company, Name: a.Name, Kind: a.Kind, Scopes: append([]string{}, a.Scopes...), State: a.State,
			Since: a.StateSince.UTC(), Sentence: entry.Sentence, Remedy: entry.Remedy, Installed: a.Installed.UTC(),
		}
		if !a.Expires.IsZero() {
			answers[i].Expires = a.Expires.UTC()
		}
		if slices.Contains([]crm.ConnectionState{crm.ScopesMissing, crm.WrongTenant, crm.ReconnectNeeded}, a.State) {
			answers[i].Link = where
		}
	}
	return list(c, command, answers, "no connections",
		[]string{"LOCATION", "COMPANY", "NAME", "KIND", "SCOPES", "STATE", "SINCE", "EXPIRES", "ABOUT", "REMEDY"},
		func(a account) []string {
			return []string{
				a.Location, orDash(a.Company), orDash(printable(a.Name)), string(a.Kind), orDash(strings.Join(a.Scopes, " ")), string(a.State), moment(a.Since),
				moment(a.Expires), a.Sentence, strings.TrimSuffix(a.Remedy+": "+a.Link, ": "),
			}
		})
}

// installLink is the link to connect by; empty where the settings have none.
func (c *cli) installLink() string {
	config, err := c.settings()
	if err != nil {
		return ""
	}
	where, _ := config.InstallLink()
	return where
}

// printable keeps what others wrote from moving the cursor of a terminal, or the columns of a table.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}

// link is the answer of connect without --wait.
type link struct {
	Link string `json:"link"`
	Do   string `json:"do"`
}

const linkUse = "open it, or send it to whoever owns the location: they choose the location in GHL, or all of an agency's, and it is live"

func (c *cli) connect() *cobra.Command {
	var wait, serviceAccount bool
	var timeout time.Duration
	command := &cobra.Command{
		Use:   "connect",
		Short: "Print the link that locations and agencies connect by",
		Long: "Print the link that locations and agencies connect by. starter serve answers it, at the address of GHL_REDIRECT_URL. The same " +
			"link connects one again whose state is scopes-missing or reconnect-needed. With --wait the link goes to stderr, and what somebody connected " +
			"after the call to stdout.\n\n" +
			"With --service-account nobody opens a link: GHL is asked for a token of the app itself (client credentials), and what it is good " +
			"for is connected and printed: a location, or a company's locations that have the app. GHL does not say when it gives one.",
		Example: example(
			"starter connect",
			"# Tell when somebody connected", "starter connect --wait --timeout 30m",
			"# Connect what GHL gives the app itself a token for", "starter connect --service-account",
			"# For a script", "starter connect --output json"),
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := c.settings()
			if err != nil {
				return err
			}
			if timeout <= 0 {
				return usage("--timeout must be more than 0")
			}
			switch {
			case serviceAccount && wait:
				return usage("--service-account waits for nobody: leave out --wait")
			case serviceAccount:
				return c.connectServiceAccount(command, config, timeout)
			}
			where, err := config.InstallLink()
			switch {
			case err != nil:
				return &exit{usedWrongly, err.Error()}
			case wait:
				return c.awaitInstall(command, config, where, timeout)
			}
			return c.one(command, link{where, linkUse}, where+"\n"+linkUse)
		},
	}
	command.Flags().BoolVar(&wait, "wait", false, "wait until somebody connected, and print what")
	command.Flags().BoolVar(&serviceAccount, "service-account", false, "connect what GHL gives the app itself a token for, without a link")
	command.Flags().DurationVar(&timeout, "timeout", 10*time.Minute, "how long to wait; the link stays good after it")
	return command
}

func (c *cli) awaitInstall(command *cobra.Command, config app.Config, where string, timeout time.Duration) error {
	ctx := command.Context()
	before, err := app.Accounts(ctx, config)
	if err != nil {
		return storeError(err)
	}
	fmt.Fprintln(command.ErrOrStderr(), where+"\n"+linkUse+"; waiting")
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	installed, err := app.AwaitInstall(waiting, config, before)
	switch {
	case ctx.Err() != nil:
		return &exit{interrupted, "interrupted; the link stays good"}
	case len(installed) > 0:
		return c.printAccounts(command, installed)
	case waiting.Err() != nil:
		return &exit{timedOut, fmt.Sprintf("nobody connected within %s; the link stays good", timeout)}
	}
	return storeError(err)
}

// connectServiceAccount reaches for Temporal first: where that is away nothing is done by half.
func (c *cli) connectServiceAccount(command *cobra.Command, config app.Config, timeout time.Duration) error {
	if err := config.CheckServiceAccount(); err != nil {
		return &exit{usedWrongly, err.Error()}
	}
	ctx := command.Context()
	temporal, searchable, address, err := c.dial(ctx, config)
	if err != nil {
		return err
	}
	defer temporal.Close()
	connecting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	got, err := app.ConnectServiceAccount(connecting, config, temporal, searchable)
	var settings *app.SettingsError
	switch {
	case errors.As(err, &settings):
		return &exit{usedWrongly, settings.Error()}
	case err != nil && ctx.Err() != nil:
		return &exit{interrupted, "interrupted; say it again to go on"}
	case err != nil && connecting.Err() != nil:
		return &exit{timedOut, fmt.Sprintf("not done within %s; say it again to go on", timeout)}
	case err != nil:
		return grantError(err)
	}
	if err := c.printAccounts(command, got.Accounts); err != nil {
		return err
	}
	switch {
	case got.Missed != nil:
		return &exit{grantCode(got.Missed), "GHL did not tell all locations that have the app: " + got.Missed.Error() + "; say it again"}
	case got.Unstarted != nil:
		fmt.Fprintln(command.ErrOrStderr(), "these are kept, but not all of them were started: say it again")
		return temporalError(ctx, address, got.Unstarted)
	case len(got.Accounts) == 0:
		return &exit{no, "the agency is connected, but none of its locations has the app: install it for one in GHL, and say it again"}
	}
	return nil
}

// grantError says what it means that GHL gave no token, or that it can't be kept, for the person who asked.
func grantError(err error) error {
	var away *app.StoreError
	code := grantCode(err)
	switch {
	case errors.As(err, &away):
		return storeError(err)
	case errors.Is(err, &crm.Error{Code: crm.InvalidInput}):
		return &exit{code, "GHL does not know the app by GHL_CLIENT_ID and GHL_CLIENT_SECRET: compare them with the app's page in GHL's marketplace"}
	case code == unauthorised:
		return &exit{code, "GHL gives this app no token of its own (" + err.Error() + "): connect by the link instead, which starter connect prints"}
	}
	return &exit{code, err.Error() + ": nothing was connected; say it again in a moment"}
}

// grantCode tells a refusal of GHL's from what may go better the next time.
func grantCode(err error) int {
	if e, ok := errors.AsType[*crm.Error](err); ok && e.Retry() == crm.Never {
		return unauthorised
	}
	return unreachable
}

// disconnected is the answer for one location.
type disconnected struct {
	Location string              `json:"location"`
	State    crm.ConnectionState `json:"state"`
}

func (c *cli) disconnect() *cobra.Command {
	var flag string
	var yes bool
	command := &cobra.Command{
		Use:   "disconnect",
		Short: "Forget the token of a location, and look for its changes no more",
		Long: "Forget the token of a location that somebody connected by a link, and look for its changes no more. What was synced stays in Rankr, and " +
			"its links are kept, so that nothing is made twice when it is connected again. The app stays installed in GHL until somebody " +
			"uninstalls it there.",
		Example: example(
			"starter disconnect --location L",
			"# For a script", "starter disconnect --location L --yes --output json"),
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := c.settings()
			if err != nil {
				return err
			}
			if flag == "" { // also where GHL_LOCATION_ID has one: that one is not connected by a link
				return usage("--location is needed: the id of a GHL location")
			}
			if err := validID("location", flag); err != nil {
				return err
			}
			return c.disconnectLocation(command, config, flag, yes)
		},
	}
	command.Flags().StringVar(&flag, "location", "", "the id of the GHL location")
	command.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return command
}

// disconnectLocation reaches for Temporal first: where that is away nothing is done by half.
func (c *cli) disconnectLocation(command *cobra.Command, config app.Config, location string, yes bool) error {
	ctx := command.Context()
	unknown := &exit{no, location + " is not connected: starter connections lists those that are"}
	switch known, err := app.Connected(ctx, config, location); {
	case err != nil:
		return storeError(err)
	case !known:
		return unknown
	}
	if err := confirm(command, yes, "forget the token of "+location+" and end its polls"); err != nil {
		return err
	}
	temporal, searchable, address, err := c.dial(ctx, config)
	if err != nil {
		return err
	}
	defer temporal.Close()
	switch err := app.DisconnectAccount(ctx, config, location); {
	case errors.Is(err, &crm.Error{Code: crm.UnknownLocation}):
		return unknown
	case err != nil:
		return storeError(err)
	}
	if !slices.Contains(config.GHLLocations, location) { // else GHL_TOKEN serves it on
		polls := app.Polls{Temporal: temporal.ScheduleClient(), Searchable: searchable}
		if err := polls.Remove(ctx, location); err != nil {
			return temporalError(ctx, address, err)
		}
	}
	return c.one(command, disconnected{location, crm.Disconnected}, location+" is disconnected; its links are kept")
}

// rotated is the answer of rotate-secrets.
type rotated struct {
	Anew    int      `json:"anew"`
	Already int      `json:"already"`
	Closed  []string `json:"closed"`
}

func (r rotated) String() string {
	switch {
	case len(r.Closed) > 0:
		return fmt.Sprintf("%d sealed anew, %d were already, %d can't be opened", r.Anew, r.Already, len(r.Closed))
	case r.Anew == 0:
		return fmt.Sprintf("nothing to do: all tokens (%d) are sealed with the first key, and the others can be taken out", r.Already)
	}
	return fmt.Sprintf("%d sealed anew, %d were already: all other keys can be taken out", r.Anew, r.Already)
}

func (c *cli) rotateSecrets() *cobra.Command {
	var yes bool
	command := &cobra.Command{
		Use:   "rotate-secrets",
		Short: "Seal the tokens in the store anew with the first key of SECRET_KEY",
		Long: "Seal the tokens in the store anew with the first key of SECRET_KEY or SECRET_KEY_FILE; the keys behind it open what they sealed " +
			"before. Everything goes on meanwhile. All programs must know the new key first, or they can't open what is sealed with it. " +
			"It may be stopped, and goes on when it is said again.",
		Example: example(
			"starter rotate-secrets",
			"# For a script", "starter rotate-secrets --yes --output json"),
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := c.settings()
			if err != nil {
				return err
			}
			if err := confirm(command, yes, "seal all tokens anew that are not sealed with the first key"); err != nil {
				return err
			}
			return c.rotate(command, config)
		},
	}
	command.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return command
}

func (c *cli) rotate(command *cobra.Command, config app.Config) error {
	ctx := command.Context()
	resealed, err := app.RotateSecrets(ctx, config)
	var settings *app.SettingsError
	switch {
	case errors.As(err, &settings):
		return &exit{usedWrongly, settings.Error()}
	case err != nil && ctx.Err() != nil:
		return &exit{interrupted, fmt.Sprintf("interrupted after %d; say it again to go on", resealed.Anew)}
	case err != nil:
		return storeError(err)
	}
	answer := rotated{resealed.Anew, resealed.Already, append([]string{}, resealed.Closed...)}
	if err := c.one(command, answer, answer.String()); err != nil {
		return err
	}
	if len(answer.Closed) > 0 {
		return &exit{no, "no key opens the token of " + strings.Join(answer.Closed, ", ") + ": put the key back that is missing, or connect these again, and say it again"}
	}
	return nil
}
