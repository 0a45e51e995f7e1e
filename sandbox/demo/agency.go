package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"time"

	"go.temporal.io/api/workflowservice/v1"

	"github.com/rankrsync/rankrsync/clients/ghl/ghltest"
	"github.com/rankrsync/rankrsync/sandbox/stack"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// agency is the company whose locations come by OAuth, beside the one that has a token of its own.
const agency = "harbourAgency"

var studios = []string{"quaysideStudio1", "lanternStudio1", "mooringStudio1"}

// appSettings are those of a marketplace app: the starter needs an address that GHL can send people back to.
func appSettings(ghlURL string) (stack.Settings, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, err
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	return stack.Settings{
		"HTTP_ADDR": address, "GHL_REDIRECT_URL": "http://" + address + "/oauth/callback", "GHL_CONSENT_URL": ghlURL + "/v2/oauth/chooselocation",
		"GHL_CLIENT_ID": ghltest.ClientID, "GHL_CLIENT_SECRET": ghltest.ClientSecret, "SECRET_KEY": base64.StdEncoding.EncodeToString(key),
	}, nil
}

// installed is an agency that opens the link and chooses itself: all its locations are live.
func (s *story) installed(ctx context.Context) (end, error) {
	for _, studio := range studios {
		if err := s.ghl.PutLocation(ctx, ghltest.Location{ID: studio, Name: studio, Company: agency, Country: "US"}); err != nil {
			return end{}, err
		}
	}
	if err := s.ghl.Choose(ctx, ghltest.Choice{Company: agency}); err != nil {
		return end{}, err
	}
	began := time.Now()
	if err := s.openLink(ctx); err != nil {
		return end{}, err
	}
	var workflows []string
	for _, studio := range studios {
		made, err := s.ghl.Create(ctx, studio, ghltest.Contact{FirstName: "Jona", Email: studio + "@example.com"})
		if err != nil {
			return end{}, err
		}
		if err := s.untilField(ctx, made.ID, "firstName", "Jona"); err != nil {
			return end{}, err
		}
		workflows = append(workflows, names.Connect(studio), names.Contact(studio, made.ID))
	}
	words := fmt.Sprintf("its %d locations are connected, and a new contact of each is in Rankr %s after the link was opened",
		len(studios), time.Since(began).Round(time.Millisecond))
	if err := s.quiet(ctx, workflows...); err != nil {
		return end{}, err
	}
	return end{words: words, workflow: workflows[0], others: workflows[1:]}, s.pollsEnd(ctx)
}

// openLink is what a person's browser does.
func (s *story) openLink(ctx context.Context) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.starter.HTTP+"/oauth/install", nil)
	if err != nil {
		return err
	}
	answer, err := (&http.Client{Jar: jar}).Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	for _, studio := range studios {
		if answer.StatusCode != http.StatusOK || !strings.Contains(string(page), studio) {
			return fmt.Errorf("the page says %s and does not show %s", answer.Status, studio)
		}
	}
	return nil
}

// pollsEnd waits for the polls that connecting asked for. What has just begun may not be listed yet, so it looks more than
// once.
func (s *story) pollsEnd(ctx context.Context) error {
	looks := 0
	return eventually(ctx, func() (string, error) {
		found, err := s.temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
			Query: `WorkflowType = "` + names.PollChanges + `" AND ExecutionStatus = "Running"`,
		})
		if looks++; err != nil || found.GetCount() > 0 {
			looks = 0
			return "polls still run", err
		}
		if looks < 10 {
			return "polls may just begin", nil
		}
		return "", nil
	})
}
