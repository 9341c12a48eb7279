// Package discover takes the place of go-discover, which finds members of a cluster through the APIs of clouds:
// the agent of the tests is a cluster of one, and the clients of those APIs would be half of its build.
package discover

import (
	"errors"
	"log"
)

var errNone = errors.New("this agent is built without discovery by clouds")

// Provider is one cloud.
type Provider interface {
	Addrs(args map[string]string, l *log.Logger) ([]string, error)
	Help() string
}

// Providers has none.
var Providers = map[string]Provider{}

// Discover finds nothing.
type Discover struct{}

// Option has no effect.
type Option func(*Discover) error

// New never fails.
func New(...Option) (*Discover, error) { return &Discover{}, nil }

// WithUserAgent has no effect.
func WithUserAgent(string) Option { return func(*Discover) error { return nil } }

// WithProviders has no effect.
func WithProviders(map[string]Provider) Option { return func(*Discover) error { return nil } }

// Addrs always fails.
func (*Discover) Addrs(string, *log.Logger) ([]string, error) { return nil, errNone }

// Names has none.
func (*Discover) Names() []string { return nil }
