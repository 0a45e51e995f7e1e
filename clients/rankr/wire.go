package rankr

import (
	"slices"
	"strings"

	"github.com/rankrsync/rankrsync/crm"
)

// record is a contact as the contract shows it. A field without a value comes as null, as "" or not at all: all
// three are "" here.
type record struct {
	ID           string         `json:"id"`
	ExternalID   string         `json:"externalId"`
	Email        string         `json:"email"`
	FirstName    string         `json:"firstName"`
	LastName     string         `json:"lastName"`
	Phone        string         `json:"phone"`
	CompanyName  string         `json:"companyName"`
	Address1     string         `json:"address1"`
	City         string         `json:"city"`
	State        string         `json:"state"`
	PostalCode   string         `json:"postalCode"`
	Country      string         `json:"country"`
	Website      string         `json:"website"`
	Timezone     string         `json:"timezone"`
	DateOfBirth  string         `json:"dateOfBirth"`
	Source       string         `json:"source"`
	DND          bool           `json:"dnd"`
	AssignedTo   string         `json:"assignedTo"`
	BusinessID   string         `json:"businessId"`
	Segments     []string       `json:"segments"`
	Tags         []string       `json:"tags"`
	CustomFields map[string]any `json:"customFields"`
	DateUpdated  string         `json:"dateUpdated"`
}

// page is a page of a search.
type page struct {
	Contacts []record `json:"contacts"`
	Next     string   `json:"next"`
}

// tagsBody is sent and answered by both calls for tags.
type tagsBody struct {
	Tags []string `json:"tags"`
}

// newContact is the body of a create. It names fields that the contract does not have, for Rankr would refuse the
// whole contact for them, and a business that can't be one.
func newContact(contact crm.Contact) (body map[string]any, unknown []string) {
	body, unknown = values(contact.Fields, nil)
	if contact.ExternalID != "" {
		body["externalId"] = contact.ExternalID
	}
	if tags := crm.FoldTags(contact.Tags); len(tags) > 0 {
		body["tags"] = tags
	}
	if contact.Business != "" {
		body["businessId"] = contact.Business
		unknown = append(unknown, notABusiness(contact.Business)...)
	}
	return body, unknown
}

// change is the body of an update: what is set with its value, what is cleared with null.
func change(patch crm.Patch) (body map[string]any, unknown []string) {
	body, unknown = values(patch.Set, patch.Clear)
	setOrClear(body, "externalId", patch.ExternalID)
	setOrClear(body, "businessId", patch.Business)
	if patch.Business != nil && *patch.Business != "" {
		unknown = append(unknown, notABusiness(*patch.Business)...)
	}
	return body, unknown
}

// notABusiness names the property of a business's id that no business can have.
func notABusiness(id string) []string {
	if crm.ValidID(id) {
		return nil
	}
	return []string{"businessId"}
}

// values puts fields under the contract's names, custom fields into an object of their own.
func values(set crm.Fields, clear []string) (body map[string]any, unknown []string) {
	body = map[string]any{}
	custom := map[string]any{}
	put := func(name string, value any) {
		key, isCustom := strings.CutPrefix(name, crm.CustomField)
		switch {
		case isCustom && key != "":
			custom[key] = value
		case slices.Contains(crm.StandardFields, name):
			body[name] = value
		default:
			unknown = append(unknown, name)
		}
	}
	for _, name := range clear {
		if name == "dnd" {
			put(name, false) // the contract has no null for it
			continue
		}
		put(name, nil)
	}
	for name, value := range set {
		put(name, value)
	}
	if len(custom) > 0 {
		body["customFields"] = custom
	}
	slices.Sort(unknown)
	return body, unknown
}
