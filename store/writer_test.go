package store

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestAChangeOfAWholeLocationKeepsNobodyElseWaiting(t *testing.T) {
	begun, goOn := make(chan struct{}, 10), make(chan struct{})
	var groups [][]bool // whether each change takes long
	w := newWriter(1, maxGroup, func(group []change, _ []error) error {
		var long []bool
		for _, c := range group {
			long = append(long, c.long)
		}
		groups = append(groups, long)
		begun <- struct{}{}
		<-goOn
		return nil
	})
	var all sync.WaitGroup
	ask := func(write func(context.Context, func(context.Context, tx) error) error) {
		all.Go(func() { assert.NoError(t, write(context.Background(), nil)) })
	}
	ask(w.write)
	<-begun // while it is written, the others come
	ask(w.writeMany)
	ask(w.write)
	ask(w.writeMany)
	ask(w.write)
	assert.Eventually(t, func() bool { return len(w.changes) == 4 }, 10*time.Second, time.Millisecond)
	close(goOn)
	all.Wait()
	w.close()
	assert.Equal(t, [][]bool{{false}, {false, false}, {true}, {true}}, groups)
}
