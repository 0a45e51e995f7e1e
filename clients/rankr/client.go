// Package rankr speaks to Rankr. Its endpoints are those of the contract in package contract; a test holds every
// request against that document.
package rankr

import (
	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

// Client writes contacts, tasks, notes, businesses and segments to one Rankr account. It is safe for concurrent use and never retries.
type Client struct{ rest *rest.Client }

var (
	_ crm.Destination         = (*Client)(nil)
	_ crm.TaskDestination     = (*Client)(nil)
	_ crm.BusinessDestination = (*Client)(nil)
	_ crm.SegmentDestination  = (*Client)(nil)
)

// New makes a client. Its calls ask the rest client for the token and the rate limit of "account".
func New(rest *rest.Client) *Client { return &Client{rest: rest} }
