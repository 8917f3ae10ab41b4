package routing

import (
	"net/netip"
	"reflect"
	"testing"
)

// Two objects that differ in any field are not equal. An Equal that leaves a field out would
// lose changes of it.
func TestEqualComparesAllFields(t *testing.T) {
	differs := func(object any, equal func(changed reflect.Value) bool) {
		zero := reflect.New(reflect.TypeOf(object)).Elem()
		for _, path := range fields(zero.Type()) {
			changed := reflect.New(zero.Type()).Elem()
			f := changed.FieldByIndex(path)
			set(f)
			if f.IsZero() {
				t.Fatalf("%v: field %v was not changed", zero.Type(), zero.Type().FieldByIndex(path).Name)
			}
			if equal(changed) {
				t.Errorf("%v: objects with different %v are equal", zero.Type(), zero.Type().FieldByIndex(path).Name)
			}
		}
	}
	differs(Host{}, func(v reflect.Value) bool { return v.Addr().Interface().(*Host).Equal(new(Host)) })
	differs(Network{}, func(v reflect.Value) bool { return v.Addr().Interface().(*Network).Equal(new(Network)) })
	differs(Port{}, func(v reflect.Value) bool { return v.Addr().Interface().(*Port).Equal(new(Port)) })
	differs(Meta{}, func(v reflect.Value) bool { return v.Addr().Interface().(*Meta).Equal(new(Meta)) })
}

// fields returns the paths of the fields of a struct, and of the structs in it.
func fields(t reflect.Type) (all [][]int) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type.Kind() != reflect.Struct || f.Type == reflect.TypeFor[netip.Addr]() {
			all = append(all, []int{i})
			continue
		}
		for _, path := range fields(f.Type) {
			all = append(all, append([]int{i}, path...))
		}
	}
	return all
}

// set gives v a value that is not zero.
func set(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("x")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Array:
		set(v.Index(0))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.Struct: // the only one is netip.Addr
		v.Set(reflect.ValueOf(netip.IPv6Loopback()))
	}
}
