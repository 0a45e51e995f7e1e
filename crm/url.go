package crm

import (
	"errors"
	"net/netip"
	"net/url"
)

// SecretsURL takes apart a URL that secrets are sent to; like is an example of one. Plain http is for this machine only.
func SecretsURL(text, like string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("is not a URL like " + like)
	case u.User != nil || u.Fragment != "":
		return nil, errors.New("must be scheme, host, path and query only")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, errors.New("must be https: plain http is accepted for this machine only")
	}
	return u, nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
