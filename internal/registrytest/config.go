package registrytest

import (
	"encoding/json"
	"os"
	"path/filepath"
)

// htpasswd is User and Password in bcrypt, the only hash that the registry takes.
const htpasswd = "alice:$2a$04$cNTH3/3fxddauH1rurXbN.cnomPJg8.eEPfQk28fMVDrcBTod4RSC\n"

// block is a mapping of the registry's configuration.
type block = map[string]any

// writeConfig writes the registry's configuration (JSON is YAML too) into the folder conf.
func writeConfig(conf string, opts Options, tokens *Tokens) (file string, err error) {
	addr := opts.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	config := block{
		"version": "0.1",
		"log":     block{"level": "info", "accesslog": block{"disabled": true}},
		"http":    block{"addr": addr, "secret": "registrytest"},
		"storage": block{
			"filesystem":  block{"rootdirectory": opts.Dir},
			"delete":      block{"enabled": true},
			"maintenance": block{"readonly": block{"enabled": opts.ReadOnly}, "uploadpurging": block{"enabled": false}},
		},
	}
	switch {
	case opts.Basic:
		path := filepath.Join(conf, "htpasswd")
		if err := os.WriteFile(path, []byte(htpasswd), 0o600); err != nil {
			return "", err
		}
		config["auth"] = block{"htpasswd": block{"realm": "registrytest", "path": path}}
	case tokens != nil:
		path := filepath.Join(conf, "jwks.json")
		if err := os.WriteFile(path, tokens.jwks(), 0o600); err != nil {
			return "", err
		}
		config["auth"] = block{"token": block{
			"realm": tokens.server.URL + "/token", "service": service, "issuer": issuer, "jwks": path,
		}}
	}
	raw, err := json.Marshal(config)
	if err != nil {
		return "", err
	}
	file = filepath.Join(conf, "config.yml")
	return file, os.WriteFile(file, raw, 0o600)
}
