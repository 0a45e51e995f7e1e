// Package ghl reads and writes contacts, tasks and notes of GoHighLevel, and reads businesses, locations, custom fields, appointments and users. It turns GHL's wire format into the
// crm's words and believes no answer that is not about what was asked.
package ghl

import (
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/crm"
)

// Options are what may differ between installations.
type Options struct {
	// Version is sent as the Version header of every call. Empty: each operation's own, see [Operations].
	Version string
}

// Client is a [crm.Source] of contacts, tasks and businesses, and a [crm.SourceWriter]. It is safe for concurrent use.
type Client struct {
	rest    *rest.Client
	version string
	now     func() time.Time

	mu           sync.Mutex
	dictionaries map[string]*dictionary // by location
	loads        singleflight.Group
}

var (
	_ crm.Source         = (*Client)(nil)
	_ crm.TaskSource     = (*Client)(nil)
	_ crm.BusinessSource = (*Client)(nil)
	_ crm.SourceWriter   = (*Client)(nil)
)

// New makes a client that calls through rest, whose accounts are GHL locations.
func New(rest *rest.Client, o Options) *Client {
	return &Client{rest: rest, version: o.Version, now: time.Now, dictionaries: map[string]*dictionary{}}
}
