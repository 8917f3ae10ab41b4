package lifecycle

import (
	"strings"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/internal/logging"
	"github.com/ofdvr/ofdvr/ovsdb"
)

// logOps logs changes of the database: one line for each router and verb, and at debug level one
// line for each row. If repairs is true, the changes repair another program's changes, and the
// lines are warnings.
func logOps(log *zap.Logger, ops []ovsdb.Op, repairs bool) {
	type line struct {
		router, verb string
		fabric, tag  bool
	}
	var lines []line // in the order of ops
	names := make(map[line][]string)
	inserted := make(map[string]bool) // UUIDs
	for _, op := range ops {
		log.Debug("changed a row of OVSDB", zap.String("router", op.Router), zap.Stringer("operation", op))
		if op.Verb == ovsdb.Insert {
			inserted[op.Row.UUID] = true
			if inserted[op.Parent.UUID] && (op.Row.Table != ovsdb.TablePort || op.Row.Name == op.Parent.Name) {
				continue // implied, because a bridge has a controller and a port, and a port has an interface
			}
		}
		name := op.Row.Name
		if op.Verb == ovsdb.Update {
			_, name, _ = strings.Cut(op.String(), " ") // with the table and the columns
		}
		l := line{op.Router, op.Verb.String(), op.Fabric, op.Fabric && op.Row.Table == ovsdb.TablePort && !op.Row.Ours && op.Verb == ovsdb.Update}
		if names[l] == nil {
			lines = append(lines, l)
		}
		names[l] = append(names[l], name)
	}
	for _, l := range lines {
		fields := []zap.Field{zap.String("router", l.router), zap.String(l.verb, logging.Brief(names[l]))}
		if l.fabric {
			fields = append(fields, zap.Bool("fabric", true))
		}
		if l.tag {
			log.Info("changed the tags or marks of machines' ports", fields...)
		} else if repairs {
			log.Warn("repaired rows of OVSDB that another program had changed", fields...)
		} else {
			log.Info("changed OVSDB", fields...)
		}
	}
}
