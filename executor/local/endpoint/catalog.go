package endpoint

// A catalog is what the account has beside what its scheduler knows, which is the rest:
// its job definitions, and what the admin API says. It is read and changed by operations
// only.
type catalog struct {
	definitions map[string][]*definition // by name; revision n is at n-1, nil once deleted
	hosts       map[string][]hosts       // by compute environment, oldest first
}

func newCatalog() *catalog { return &catalog{definitions: map[string][]*definition{}} }
