// Calls every method of dev.mcplocal.Upgrade once through a Varlink library that is not ours, and
// compares what comes back with the interface description that the daemon serves: each reply may hold
// nothing the description does not have, and nothing of a wrong type.
//
// Usage: varlink_client unix:SOCKET SOURCE, where SOURCE is a directory holding an application. Exits
// with 1 and a line for each disagreement.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/varlink/go/varlink"
	"github.com/varlink/go/varlink/idl"
)

const interfaceName = "dev.mcplocal.Upgrade"

var failures int

func failed(format string, arguments ...interface{}) {
	failures++
	fmt.Printf("FAILED: "+format+"\n", arguments...)
}

// checker compares JSON values with the types of a description.
type checker struct {
	types   map[string]*idl.Type
	methods map[string]*idl.Method
	errors  map[string]*idl.Error
	called  map[string]bool
}

// newChecker parses a description. The library's parser knows lower-case interface names only, and
// needs no name for what we use it for.
func newChecker(description string) (*checker, error) {
	lowered := strings.Replace(description, "interface "+interfaceName,
		"interface "+strings.ToLower(interfaceName), 1)
	parsed, err := idl.New(lowered)
	if err != nil {
		return nil, err
	}
	c := &checker{map[string]*idl.Type{}, map[string]*idl.Method{}, map[string]*idl.Error{},
		map[string]bool{}}
	for _, alias := range parsed.Aliases {
		c.types[alias.Name] = alias.Type
	}
	for _, method := range parsed.Methods {
		c.methods[method.Name] = method
	}
	for _, each := range parsed.Errors {
		c.errors[each.Name] = each
	}
	return c, nil
}

// check reports where a value does not have its type.
func (c *checker) check(where string, value interface{}, t *idl.Type) {
	switch t.Kind {
	case idl.TypeAlias:
		aliased, known := c.types[t.Alias]
		if !known {
			failed("%s: the description has no type %s", where, t.Alias)
			return
		}
		c.check(where, value, aliased)
	case idl.TypeMaybe:
		if value != nil {
			c.check(where, value, t.ElementType)
		}
	case idl.TypeStruct:
		c.checkStruct(where, value, t)
	case idl.TypeArray:
		items, ok := value.([]interface{})
		if !ok {
			failed("%s: %v is no array", where, value)
		}
		for i, item := range items {
			c.check(fmt.Sprintf("%s[%d]", where, i), item, t.ElementType)
		}
	case idl.TypeEnum:
		for _, field := range t.Fields {
			if value == field.Name {
				return
			}
		}
		failed("%s: %v is none of the enumerated values", where, value)
	default:
		c.checkScalar(where, value, t)
	}
}

func (c *checker) checkStruct(where string, value interface{}, t *idl.Type) {
	members, ok := value.(map[string]interface{})
	if !ok {
		failed("%s: %v is no object", where, value)
		return
	}
	known := map[string]bool{}
	for _, field := range t.Fields {
		known[field.Name] = true
		member, present := members[field.Name]
		if present || field.Type.Kind == idl.TypeMaybe {
			c.check(where+"."+field.Name, member, field.Type)
		} else {
			failed("%s.%s is missing", where, field.Name)
		}
	}
	for name := range members {
		if !known[name] {
			failed("%s.%s is not in the description", where, name)
		}
	}
}

func (c *checker) checkScalar(where string, value interface{}, t *idl.Type) {
	ok := true
	switch t.Kind {
	case idl.TypeBool:
		_, ok = value.(bool)
	case idl.TypeInt:
		number, isNumber := value.(json.Number)
		if isNumber {
			_, err := number.Int64()
			isNumber = err == nil
		}
		ok = isNumber
	case idl.TypeFloat:
		_, ok = value.(json.Number)
	case idl.TypeString:
		_, ok = value.(string)
	case idl.TypeObject:
		_, ok = value.(map[string]interface{})
	}
	if !ok {
		failed("%s: %v has the wrong type", where, value)
	}
}

// caller makes calls on one connection and checks each reply.
type caller struct {
	*checker
	connection *varlink.Connection
}

func decode(raw json.RawMessage) interface{} {
	var value interface{}
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		failed("not JSON: %v", err)
	}
	return value
}

// call makes one call and returns its last reply. An error is fine if the description has it and
// `expected` names it.
func (c *caller) call(method string, parameters map[string]interface{}, more bool,
	expected string) map[string]interface{} {
	c.called[method] = true
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	var flags uint64
	if more {
		flags = varlink.More
	}
	receive, err := c.connection.Send(ctx, interfaceName+"."+method, parameters, flags)
	if err != nil {
		failed("%s: cannot send: %v", method, err)
		return nil
	}
	replies := 0
	for {
		var raw json.RawMessage
		state, err := receive(ctx, &raw)
		if err != nil {
			c.checkError(method, err, expected)
			return nil
		}
		replies++
		value := decode(raw)
		c.check(method, value, c.methods[method].Out)
		if state&varlink.Continues == 0 {
			fmt.Printf("%s: %d replies, the last %.200s\n", method, replies, raw)
			if expected != "" {
				failed("%s: expected %s", method, expected)
			}
			members, _ := value.(map[string]interface{})
			return members
		}
	}
}

func (c *caller) checkError(method string, err error, expected string) {
	typed, ok := err.(*varlink.Error)
	if !ok {
		failed("%s: %v", method, err)
		return
	}
	name := strings.TrimPrefix(typed.Name, interfaceName+".")
	raw, _ := typed.Parameters.(*json.RawMessage)
	described, known := c.errors[name]
	if !known || raw == nil {
		failed("%s: error %s is not in the description", method, typed.Name)
		return
	}
	fmt.Printf("%s: %s %s\n", method, name, *raw)
	c.check(method+" "+name, decode(*raw), described.Type)
	if name != expected {
		failed("%s: error %s %s", method, name, *raw)
	}
}

func text(members map[string]interface{}, name string) string {
	value, _ := members[name].(string)
	return value
}

// everyMethod goes once through what a person can do.
func (c *caller) everyMethod(source string) {
	type p = map[string]interface{}
	c.call("Status", p{}, false, "")
	c.call("ShowConfiguration", p{}, false, "")
	c.call("Plan", p{"kind": "rollback"}, false, "NothingToRollBack")
	c.call("Upgrade", p{"mode": "sideways"}, false, "InvalidRequest")
	c.call("Plan", p{"kind": "upgrade", "from": source}, false, "")
	upgraded := c.call("Upgrade", p{"from": source}, true, "")
	result, _ := upgraded["result"].(map[string]interface{})
	if text(result, "outcome") != "done" {
		failed("Upgrade: the outcome is %v", result)
	}
	job := upgraded["job"]
	c.call("Watch", p{"job": job, "after": 1, "follow": true}, true, "")
	c.call("Watch", p{"job": 4711}, true, "NotFound")
	c.call("Check", p{}, true, "")
	c.call("Repair", p{}, true, "")
	c.call("Status", p{"verify": true}, false, "")
	c.call("Jobs", p{"limit": 5}, false, "")
	c.call("Cancel", p{"job": 4711}, false, "NotFound")
	c.cancelHangingCheck()
	c.marks()
	c.call("Plan", p{"kind": "rollback", "to": "before"}, false, "")
	c.call("Rollback", p{"to": "before"}, true, "")
}

// cancelHangingCheck ends a job whose deep check would take a minute.
func (c *caller) cancelHangingCheck() {
	type p = map[string]interface{}
	job := c.call("Check", p{"deep": true}, false, "")["job"]
	c.call("Cancel", p{"job": job}, false, "")
	ended := c.call("Watch", p{"job": job, "follow": true}, true, "")
	result, _ := ended["result"].(map[string]interface{})
	if text(result, "outcome") != "cancelled" {
		failed("Cancel: the job's outcome is %v", result)
	}
}

func (c *caller) marks() {
	type p = map[string]interface{}
	listed := c.call("Releases", p{}, false, "")
	releases, _ := listed["releases"].([]interface{})
	if len(releases) == 0 {
		failed("Releases: none after an upgrade")
		return
	}
	first, _ := releases[0].(map[string]interface{})
	for _, method := range []string{"Pin", "Unpin", "Hold", "Unhold"} {
		c.call(method, p{"release": text(first, "release")}, false, "")
	}
}

func run(address string, source string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	connection, err := varlink.NewConnection(ctx, address)
	if err != nil {
		return err
	}
	defer connection.Close()
	var vendor, product, version, url string
	var interfaces []string
	if err := connection.GetInfo(ctx, &vendor, &product, &version, &url, &interfaces); err != nil {
		return err
	}
	fmt.Println(vendor, product, version, interfaces)
	description, err := connection.GetInterfaceDescription(ctx, interfaceName)
	if err != nil {
		return err
	}
	c, err := newChecker(description)
	if err != nil {
		return fmt.Errorf("the description cannot be parsed: %v", err)
	}
	(&caller{c, connection}).everyMethod(source)
	for name := range c.methods {
		if !c.called[name] {
			failed("%s was never called", name)
		}
	}
	return nil
}

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Println("FAILED:", err)
		os.Exit(1)
	}
	if failures > 0 {
		os.Exit(1)
	}
}
