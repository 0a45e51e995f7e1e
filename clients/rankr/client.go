// Package rankr speaks to Rankr. Its endpoints are those of the contract in package contract; a test holds every
// request against that document.
package rankr

import (
	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

// SharedAccount is the account of all locations unless [Options] say otherwise.
const SharedAccount = "account"

// Options are what may differ between installations.
type Options struct {
	// Account names the Rankr account of a location: whose token and whose rate limit its calls use. It is never empty. Nil: all
	// locations share [SharedAccount].
	Account func(location string) string
}

// Client writes contacts, tasks, notes, businesses and segments to the Rankr account of their location. It is safe for
// concurrent use and never retries.
type Client struct {
	rest    *rest.Client
	account func(location string) string
}

var (
	_ crm.Destination         = (*Client)(nil)
	_ crm.TaskDestination     = (*Client)(nil)
	_ crm.BusinessDestination = (*Client)(nil)
	_ crm.SegmentDestination  = (*Client)(nil)
)

// New makes a client that calls through rest, whose accounts are Rankr's.
func New(rest *rest.Client, o Options) *Client {
	if o.Account == nil {
		o.Account = func(string) string { return SharedAccount }
	}
	return &Client{rest: rest, account: o.Account}
}
