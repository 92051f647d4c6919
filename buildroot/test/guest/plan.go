package guest

// What the harness and the guest's first process agree on.
const (
	Port     = "livekiosk.results" // the virtual serial line that results go to
	PlanFile = "/lab/plan.json"    // holds a Plan
)

// Mark begins the lines that are the first process's own word. All else that
// comes is what the tests say, line by line:
//
//	begin PACKAGE
//	end PACKAGE CODE MILLISECONDS
//	bye
const Mark = "\x01"

// A Plan is what the guest's first process does.
type Plan struct {
	Tests []PlannedTest `json:"tests"` // one after the other
}

// A PlannedTest is one package's test binary.
type PlannedTest struct {
	Package string   `json:"package"`
	Dir     string   `json:"dir"` // working folder
	Args    []string `json:"args"`
}
