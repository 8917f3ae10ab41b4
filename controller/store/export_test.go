package store

import "go.etcd.io/bbolt"

const SchemaVersion = schemaVersion

var (
	FormatValue = formatValue
)

// OpenMigrating is Open with other migrations.
func OpenMigrating(path string, migrations ...func(*bbolt.Tx) error) error {
	var all []migration
	for _, m := range migrations {
		all = append(all, m)
	}
	h, err := openHandle(path, all, false)
	if err == nil {
		h.close()
	}
	return err
}
