package activities

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/crm/rules"
)

// automate does in GHL what a rule says is done when a tag is added. GHL has no idempotency keys, so everything is looked at
// first: tags that are there already are not added, and a task carries a reference by which it is known again. The contact
// is held meanwhile, so nobody else does the same.
func (g *segmentation) automate(ctx context.Context, workflow rules.TagWorkflow, tag string, at time.Time) error {
	got, _, err := g.Source().Contact(ctx, g.ref)
	if hasCode(err, crm.GHLNotFound) { // its own round will tell
		return nil
	}
	if err != nil {
		return err
	}
	contact, err := g.mapped(ctx, g.ref.Location, got)
	if err != nil {
		return err
	}
	task, wanted, err := workflow.Task(contact, at)
	if err != nil {
		return err
	}
	if wanted {
		if err := g.makeTask(ctx, task, reference(g.derived(workflow.Name, tag, at.UTC().Format(time.RFC3339Nano)))); err != nil {
			return err
		}
	}
	if add := crm.Without(workflow.AddTags, contact.Tags); len(add) > 0 {
		if _, err := g.Segments.Source.AddTags(ctx, g.ref, add); err != nil {
			return err
		}
	}
	if remove := slices.DeleteFunc(slices.Clone(workflow.RemoveTags), func(tag string) bool { return !slices.Contains(contact.Tags, tag) }); len(remove) > 0 {
		_, err = g.Segments.Source.RemoveTags(ctx, g.ref, remove)
	}
	return err
}

// reference is the last line of a task that a rule made: by it the task is known again, whatever people make of the rest.
func reference(key string) string { return "rankrsync " + key[:16] }

// makeTask makes a task unless it is there.
func (g *segmentation) makeTask(ctx context.Context, task crm.Task, reference string) error {
	tasks, _, err := g.Segments.Source.Tasks(ctx, g.ref)
	if err != nil {
		return err
	}
	for _, there := range tasks {
		if strings.Contains(there.Body, reference) {
			return nil
		}
	}
	task.Body = strings.TrimSpace(task.Body + "\n\n" + reference)
	_, err = g.Segments.Source.CreateTask(ctx, g.ref, task)
	return err
}
