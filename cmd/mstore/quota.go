package main

import (
	"cmp"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/gc"
)

// The flags that limit a store, and what they are by default.
const (
	policyName  = "policy"
	maxSizeName = "max-size"
	maxAgeName  = "max-age"

	policyEnv    = "MSTORE_CLEANUP_STRATEGY"
	maxSizeEnv   = "MSTORE_CACHE_SIZE"
	compressName = "compress"
	compressEnv  = "MSTORE_ENABLE_COMPRESSION"
	maxAgeEnv    = "MSTORE_MAX_AGE"
)

// byAge is the policy that looks at nothing but how long a model was not used.
const byAge = "ttl"

// quota is what flags, as far as the command has them, and the environment limit the store to.
func quota(c *cli.Context) (q mstore.Quota, err error) {
	policy, from := c.String(policyName), "--"+policyName
	if policy == "" {
		policy, from = cmp.Or(os.Getenv(policyEnv), string(gc.LeastRecentlyUsed)), policyEnv
	}
	if err := oneOf(from, policy, string(gc.LeastRecentlyUsed), byAge, string(gc.Largest)); err != nil {
		return q, err
	}
	if size, ok := c.Generic(maxSizeName).(*byteSize); ok && c.IsSet(maxSizeName) {
		q.MaxSize = int64(*size)
	} else if text := os.Getenv(maxSizeEnv); text != "" {
		if q.MaxSize, err = parseSize(text); err != nil {
			return q, usagef("%s wants a size, such as 10GB or 64MiB, not %q", maxSizeEnv, text)
		}
	}
	if q.MaxAge = c.Duration(maxAgeName); !c.IsSet(maxAgeName) {
		if text := os.Getenv(maxAgeEnv); text != "" {
			if q.MaxAge, err = time.ParseDuration(text); err != nil || q.MaxAge < 0 {
				return q, usagef("%s wants a duration with its unit, such as 24h or 720h, not %q", maxAgeEnv, text)
			}
		}
	}
	switch given := c.IsSet(policyName); {
	case policy == byAge:
		q.MaxSize = 0
		if given && q.MaxAge == 0 {
			return q, usagef("--%s %s wants --%s", policyName, byAge, maxAgeName)
		}
	case given && q.MaxSize == 0:
		return q, usagef("--%s %s wants --%s", policyName, policy, maxSizeName)
	}
	if policy == string(gc.Largest) {
		q.First = gc.Largest
	}
	return q, nil
}

// whichLimit names why a model exceeds a limit.
func whichLimit(c gc.Choice) string {
	if c.Old {
		return "age"
	}
	return "size"
}

// overQuota says that a limit could not be kept.
func (p *program) overQuota(over int64) {
	if over > 0 {
		p.note("the store is still %s over its limit: what is left is pinned, in use or just pulled", size(over))
	}
}
