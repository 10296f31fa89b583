package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"perdure/internal/secret"
)

// sealedColumns are all columns that hold sealed values for longer than an hour: each is named sealed, in a table whose key is of three
// texts.
var sealedColumns = []struct {
	table   string
	key     [3]string
	binding func(a, b, c string) secret.Binding
}{
	{"connector_secrets", [3]string{"organization", "connector", "name"}, secretBinding},
	{"grants", [3]string{"organization", "connector", "member"}, grantBinding},
	{"oauth_clients", [3]string{"organization", "issuer", "redirect_uri"}, clientBinding},
}

// Resealed is what [Store.Reseal] did.
type Resealed struct {
	Looked int // at values
	Sealed int // with the primary key, which others had sealed
	// Lost are the places of values that nobody can open any more: their key is not in the keyset.
	Lost []string
}

// resealBatch is how many values are read at a time.
const resealBatch = 200

// Reseal seals with the primary key what older keys sealed, so that these can be dropped. It may be interrupted and begun again, and runs
// beside others that read and write: a value that they replaced meanwhile is theirs. Values that cannot be opened do not stop it.
func (s *Store) Reseal(ctx context.Context) (Resealed, error) {
	var done Resealed
	for i := range sealedColumns {
		var from [3]string
		for more := true; more; {
			batch, err := s.sealedBatch(ctx, i, from)
			if err != nil {
				return done, s.failed(ctx, "seal again", err)
			}
			for _, v := range batch {
				if err := s.resealOne(ctx, i, v, &done); err != nil {
					return done, s.failed(ctx, "seal again", err)
				}
				from = v.key
			}
			more = len(batch) == resealBatch
		}
	}
	return done, nil
}

// sealedValue is a value in its place.
type sealedValue struct {
	key    [3]string
	sealed secret.Sealed
}

func (s *Store) sealedBatch(ctx context.Context, column int, from [3]string) ([]sealedValue, error) {
	c := sealedColumns[column]
	key := fmt.Sprintf("%s, %s, %s", c.key[0], c.key[1], c.key[2])
	rows, err := s.db.QueryContext(ctx, `SELECT `+key+`, sealed FROM `+c.table+` WHERE (`+key+`) > ($1, $2, $3) ORDER BY `+key+` LIMIT $4`,
		from[0], from[1], from[2], resealBatch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var batch []sealedValue
	for rows.Next() {
		var v sealedValue
		if err := rows.Scan(&v.key[0], &v.key[1], &v.key[2], (*[]byte)(&v.sealed)); err != nil {
			return nil, err
		}
		batch = append(batch, v)
	}
	return batch, rows.Err()
}

func (s *Store) resealOne(ctx context.Context, column int, v sealedValue, done *Resealed) error {
	c := sealedColumns[column]
	done.Looked++
	fresh, err := s.sealer.Reseal(v.sealed, c.binding(v.key[0], v.key[1], v.key[2]))
	switch {
	case errors.Is(err, secret.ErrOpen):
		done.Lost = append(done.Lost, fmt.Sprintf("%s %s %s %s", c.table, v.key[0], v.key[1], v.key[2]))
		return nil
	case err != nil:
		return err
	case bytes.Equal(fresh, v.sealed):
		return nil
	}
	result, err := s.db.ExecContext(ctx, fmt.Sprintf(`UPDATE %s SET sealed = $1 WHERE %s = $2 AND %s = $3 AND %s = $4 AND sealed = $5`,
		c.table, c.key[0], c.key[1], c.key[2]), []byte(fresh), v.key[0], v.key[1], v.key[2], []byte(v.sealed))
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	done.Sealed += int(n)
	return err
}
