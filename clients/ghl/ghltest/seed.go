package ghltest

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"time"
)

// SeedFields are the custom fields of a location that [Server.Seed] makes. Their ids are the same everywhere, which
// GHL's are not: a location may be given others by [Server.PutLocation].
var SeedFields = []CustomField{
	{ID: "Cf7PlanRbD2mVq5xYk0T", Name: "Plan", Key: "contact.plan", DataType: "SINGLE_OPTIONS", Options: []string{"basic", "plus", "family"}},
	{ID: "Cf3SizeJw8nLs4hZc6Uo", Name: "Household size", Key: "contact.household_size", DataType: "NUMERICAL"},
	{ID: "Cf9LikeEt1pGv7aXr3Mi", Name: "Interests", Key: "contact.interests", DataType: "CHECKBOX", Options: []string{"garden", "sea", "music"}},
	{ID: "Cf5NoteHy6kBd0wQf8Sz", Name: "How we met", Key: "contact.how_we_met", DataType: "LARGE_TEXT"},
}

// Seed puts n contacts into a location, which it makes with [SeedFields] if it is not there, and returns their ids.
// The same location and n always give the same contacts: people who don't exist, some with little known about them,
// all changed before now. No webhook tells of them: they were there before anybody listened. Those that are there
// already stay as they are.
func (s *Server) Seed(location string, n int) []string {
	if _, ok := s.location(location); !ok {
		s.PutLocation(Location{
			ID: location, Name: "Harbour Street Studio", Country: "US", Timezone: "America/Chicago", CustomFields: SeedFields,
		})
	}
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(location)) // a hash takes everything
	random := rand.New(rand.NewPCG(hash.Sum64(), 0))
	start := s.now().UTC().Truncate(time.Millisecond).Add(-time.Duration(n) * time.Minute)
	ids := make([]string, n)
	for i := range ids {
		c := invent(i, random)
		c.DateUpdated = start.Add(time.Duration(i) * time.Minute)
		c.DateAdded = c.DateUpdated.AddDate(0, -1-i%12, 0)
		ids[i] = c.ID
		if _, there := s.Contact(c.ID); !there {
			s.Quietly().Create(location, c)
		}
	}
	return ids
}

// people have names of many shapes, and live where phone numbers are set aside for fiction.
var people = []struct{ first, last, phone, city, state, postal, country, timezone string }{
	{"Ada", "Brook", "+1202555", "Springfield", "IL", "62701", "US", "America/Chicago"},
	{"José", "Núñez", "+1305555", "Miami", "FL", "33101", "US", "America/New_York"},
	{"Zoë", "O'Shea-Lind", "+4477009", "Bristol", "", "BS1 4ST", "GB", "Europe/London"},
	{"Łukasz", "Żak", "+1312555", "Chicago", "IL", "60601", "US", "America/Chicago"},
	{"Jürgen", "Weiß", "+4930231", "Berlin", "BE", "10115", "DE", "Europe/Berlin"},
	{"美咲", "田中", "+1415555", "San Francisco", "CA", "94103", "US", "America/Los_Angeles"},
	{"DeShawn", "McAllister", "+1404555", "Atlanta", "GA", "30303", "US", "America/New_York"},
	{"Mary Ann", "van der Berg", "+4477009", "Leeds", "", "LS1 4AP", "GB", "Europe/London"},
}

var sources = []string{"web form", "referral", "public api", ""}

// invent makes up the i-th person of a location.
func invent(i int, random *rand.Rand) Contact {
	p := people[i%len(people)]
	c := Contact{
		ID: idFrom(random.Uint64), FirstName: p.first, LastName: p.last, Country: p.country, Type: "lead",
		Email: fmt.Sprintf("person%d@%s.example", i, strings.ToLower(p.country)),
		Phone: phoneOf(p.phone, i), Source: sources[i%len(sources)],
	}
	switch i % 10 {
	case 1: // nothing but an address to write to
		c.FirstName, c.LastName, c.Phone = "", "", ""
	case 2: // nothing but a number to call
		c.Email, c.LastName = "", ""
	case 3:
		c.Tags = []string{"newsletter"}
	default:
		c.fill(i)
	}
	return c
}

// phoneOf makes a number out of its beginning: of the usual length for the first ten thousand, and never twice the
// same.
func phoneOf(start string, i int) string {
	const digits = len("+12025550100")
	return fmt.Sprintf("%s%0*d", start, digits-len(start), i)
}

// fill gives a person what one knows of good customers.
func (c *Contact) fill(i int) {
	p := people[i%len(people)]
	c.City, c.State, c.PostalCode, c.Timezone = p.city, p.state, p.postal, p.timezone
	c.Address1 = fmt.Sprintf("%d Harbour St", 100+i)
	c.CompanyName = []string{"", "Brook & Sons", "Café Größe"}[i%3]
	c.Website = []string{"", "https://harbour.example/"}[i%2]
	c.DateOfBirth = fmt.Sprintf("%d-%02d-%02d", 1950+i%50, 1+i%12, 1+i%28)
	c.Tags = [][]string{nil, {"customer"}, {"customer", "vip", "prefers email"}}[i%3]
	c.DND = i%11 == 0
	if i%2 == 0 {
		c.CustomFields = []Value{
			{SeedFields[0].ID, SeedFields[0].Options[i%3]},
			{SeedFields[1].ID, 1 + i%6},
			{SeedFields[2].ID, []string{"garden", "music"}},
			{SeedFields[3].ID, "At the summer fair\nby the “old” pier"},
		}
	}
	if i%4 == 0 {
		c.AssignedTo = "Us4rAnnaB2cD3eF5gH7j"
	}
}
