package mstore

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"
)

// modelsAtOnce is how many models of a batch are pulled at once: enough that one which is being resolved, verified or
// all but done does not leave the line idle, few enough that the first are whole soon.
const modelsAtOnce = 3

// Outcome is what came of one pull of several: Pulled, or Err.
type Outcome struct {
	Request
	Pulled *Pulled
	Err    error
}

// PullAll pulls several models, a few at once, all within the limits of the Store. Those of a higher Priority begin
// first. Each is tried, whatever becomes of the others. The outcomes come in the order of the requests, each as soon as
// it and those before it are known. Leaving the loop, or the end of ctx, cancels what is under way, and waits for that.
func (s *Store) PullAll(ctx context.Context, all []Request) iter.Seq[Outcome] {
	return func(yield func(Outcome) bool) {
		within, cancel := context.WithCancel(ctx)
		outcomes := make([]chan Outcome, len(all))
		next := make(chan int, len(all))
		for i := range all {
			outcomes[i] = make(chan Outcome, 1)
		}
		for _, i := range byPriority(all) {
			next <- i
		}
		close(next)
		var workers sync.WaitGroup
		defer workers.Wait()
		defer cancel()
		for range min(modelsAtOnce, len(all)) {
			workers.Go(func() {
				for i := range next {
					p, err := s.Pull(within, all[i].Reference, all[i].PullOptions)
					outcomes[i] <- Outcome{all[i], p, err}
				}
			})
		}
		for _, outcome := range outcomes {
			if !yield(<-outcome) {
				return
			}
		}
	}
}

// byPriority are the indexes of the requests in the order in which they begin.
func byPriority(all []Request) []int {
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		first, _ := all[a].Priority.weight() // one that is none fails when its pull begins
		second, _ := all[b].Priority.weight()
		return cmp.Compare(second, first)
	})
	return order
}
