package ghltest

import "slices"

// Person changes contacts, tasks, notes and businesses as somebody does in GHL's own pages: nothing is counted against a
// limit, duplicates are possible, and webhooks go out.
type Person struct {
	server *Server
	quiet  bool
}

// Quietly returns a person whose changes no webhook tells of: only a poll can find them.
func (s *Server) Quietly() Person { return Person{s, true} }

// Create makes a contact in a location, which is made as well if need be, and returns it as saved. Without an ID it
// gets one; an ID that is taken is a mistake of the test, and panics.
func (s *Server) Create(location string, c Contact) Contact {
	return Person{s, false}.Create(location, c)
}

// Edit changes a contact; see [Person.Edit].
func (s *Server) Edit(id string, change func(*Contact)) (Contact, error) {
	return Person{s, false}.Edit(id, change)
}

// Tag adds tags to a contact.
func (s *Server) Tag(id string, tags ...string) (Contact, error) {
	return Person{s, false}.Tag(id, tags...)
}

// Untag takes tags from a contact.
func (s *Server) Untag(id string, tags ...string) (Contact, error) {
	return Person{s, false}.Untag(id, tags...)
}

// Delete deletes a contact.
func (s *Server) Delete(id string) error { return Person{s, false}.Delete(id) }

// Contact returns a contact as it is now.
func (s *Server) Contact(id string) (Contact, bool) {
	_, current, err := s.contact(id)
	if err != nil {
		return Contact{}, false
	}
	return current.clone(), true
}

// Contacts returns a location's contacts as they are now, oldest change first.
func (s *Server) Contacts(location string) []Contact {
	l, ok := s.location(location)
	if !ok {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	contacts := make([]Contact, 0, len(l.contacts))
	for _, rec := range l.contacts {
		contacts = append(contacts, rec.current.Load().clone())
	}
	slices.SortFunc(contacts, func(a, b Contact) int { return byUpdated(&a, &b) })
	return contacts
}

// Create makes a contact; see [Server.Create].
func (p Person) Create(location string, c Contact) Contact {
	c = c.clone()
	if c.ID == "" {
		c.ID = newID()
	}
	if _, taken := p.server.Contact(c.ID); taken {
		panic("ghltest: there is a contact with the id " + c.ID)
	}
	if c.Type == "" {
		c.Type = "lead"
	}
	c.Tags = withTags(nil, c.Tags)
	made, _ := p.server.insert(p.server.demand(location), c, nil) // nothing checks, so nothing refuses
	p.tell(nil, made)
	return made.clone()
}

// Edit lets change work on a copy of the contact, and saves it; ids and dateAdded stay. The contact must be there.
func (p Person) Edit(id string, change func(*Contact)) (Contact, error) {
	rec, _, err := p.server.contact(id)
	if err != nil {
		return Contact{}, err
	}
	before, after, err := p.server.replace(rec, func(c *Contact) error {
		change(c)
		c.Tags = withTags(nil, c.Tags)
		return nil
	})
	if err != nil {
		return Contact{}, err
	}
	p.tell(before, after)
	return after.clone(), nil
}

// Tag adds tags to a contact.
func (p Person) Tag(id string, tags ...string) (Contact, error) {
	return p.Edit(id, func(c *Contact) { c.Tags = withTags(c.Tags, tags) })
}

// Untag takes tags from a contact.
func (p Person) Untag(id string, tags ...string) (Contact, error) {
	return p.Edit(id, func(c *Contact) { c.Tags = withoutTags(c.Tags, tags) })
}

// Delete deletes a contact.
func (p Person) Delete(id string) error {
	rec, _, err := p.server.contact(id)
	if err != nil {
		return err
	}
	before, err := p.server.remove(rec)
	if err != nil {
		return err
	}
	p.tell(before, nil)
	return nil
}

func (p Person) tell(before, after *Contact) {
	if !p.quiet {
		p.server.announce(before, after)
	}
}
