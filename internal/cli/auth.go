package cli

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
)

const (
	authHeader = "X-Registry-Auth"
	noAuth     = "e30=" // {}
	hubKey     = "https://index.docker.io/v1/"
)

// dockerConfig is what is read of Docker's config.json. It is never written.
type dockerConfig struct {
	Auths map[string]struct {
		Auth          string `json:"auth"` // base64 of user:password
		IdentityToken string `json:"identitytoken"`
	} `json:"auths"`
	CredsStore  string            `json:"credsStore"`
	CredHelpers map[string]string `json:"credHelpers"`
}

// registryAuth returns the header with the person's credentials for the registry of a repository, or nil.
func (a *App) registryAuth(repository string) map[string]string {
	config, ok := a.readDockerConfig()
	if !ok {
		return nil
	}
	host := registryOf(repository)
	key := host
	if host == "docker.io" {
		key = hubKey
	}
	entry, known := config.Auths[key]
	if !known {
		entry, known = config.Auths["https://"+host]
	}
	if helper := config.helperFor(key); entry.Auth == "" && entry.IdentityToken == "" {
		if helper != "" && (known || config.CredHelpers[key] != "") {
			a.say("the credentials for %s are kept by docker-credential-%s, which is not asked yet; going on without them",
				host, helper)
		}
		return nil
	}
	return encodeAuth(entry.Auth, entry.IdentityToken, key)
}

func (c *dockerConfig) helperFor(key string) string {
	if h := c.CredHelpers[key]; h != "" {
		return h
	}
	return c.CredsStore
}

func encodeAuth(auth, token, server string) map[string]string {
	var fields struct {
		Username      string `json:"username,omitempty"`
		Password      string `json:"password,omitempty"`
		ServerAddress string `json:"serveraddress,omitempty"`
		IdentityToken string `json:"identitytoken,omitempty"`
	}
	plain, err := base64.StdEncoding.DecodeString(auth)
	if err != nil {
		return nil
	}
	fields.Username, fields.Password, _ = strings.Cut(strings.TrimRight(string(plain), "\x00"), ":")
	if token != "" {
		fields.IdentityToken, fields.Password = token, ""
	}
	fields.ServerAddress = server
	data, err := json.Marshal(fields)
	if err != nil {
		return nil
	}
	return map[string]string{authHeader: base64.URLEncoding.EncodeToString(data)}
}

func (a *App) readDockerConfig() (*dockerConfig, bool) {
	dir := a.Getenv("DOCKER_CONFIG")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, false
		}
		dir = filepath.Join(home, ".docker")
	}
	path := filepath.Join(dir, "config.json")
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, false
	}
	var c dockerConfig
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		a.say("%s: %v; going on without credentials", path, err)
		return nil, false
	}
	return &c, true
}

// registryOf is the host part of a repository's name: what stands before the first slash, if it looks like a host.
func registryOf(repository string) string {
	host, _, ok := strings.Cut(repository, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return "docker.io"
	}
	if host == "index.docker.io" {
		return "docker.io"
	}
	return host
}
