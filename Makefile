# Everything that a person types. `make help` lists it.

GO      ?= go
BIN     := bin
VERSION ?= 0.1.0
PROGRAMS := brig brigd brig-warden brig-keeper brig-router brig-store brig-worker brig-drill brig-oci
LDFLAGS := -s -w -X github.com/brig-engine/brig/internal/wire.Version=$(VERSION) -X main.version=$(VERSION)
EMBEDDED := cmd/brigd/embedded/image.tar
export CGO_ENABLED := 0

.PHONY: all build depth run survey fault test test-all test-vm lint embed bench peers confinement loc help clean go-version

all: build ## build the programs into bin/

go-version:
	@command -v $(GO) >/dev/null || { echo "Brig builds with Go 1.26 or newer, and there is no Go in PATH."; exit 1; }

build: go-version $(EMBEDDED)
	@mkdir -p $(BIN)
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ $(addprefix ./cmd/,$(PROGRAMS))

# The image that the engine brings along: brig-probe and nothing else, made from this tree.
$(EMBEDDED): $(shell find cmd/brig-probe internal/drill/image.go dist/image -name "*.go" -o -name "*.s")
	@mkdir -p $(BIN) $(dir $@)
	$(GO) build -trimpath -ldflags '-s -w' -o $(BIN)/brig-probe ./cmd/brig-probe
	$(GO) run ./dist/image -o $@ $(BIN)/brig-probe

run: build ## see a confined container and the seven attacks fail: make run [IMAGE=… CMD=…]
	@$(GO) run ./test/run -bin $(BIN) $(if $(IMAGE),-image '$(IMAGE)') -- $(CMD)

survey: build ## execute docs/survey.md: a line for each row of the survey, with what it showed
	@$(GO) run ./test/survey -bin $(BIN)

fault: build ## strike an engine at the steps of every verb, a line for each: verb, step, fault, verdict
	@BRIG_SLOW=1 $(GO) test -count=1 -v -timeout 30m ./test/fault

test: build ## run the tests of this repository (root, at most ten minutes)
	@$(GO) run ./test/lane

test-all: build ## the slow lane: real images, a registry, scale, fuzzing
	@$(GO) run ./test/lane -slow -timeout 30m -fuzz 3s

embed: go-version ## write the filters and small programs that brig-warden has built in, from their tables
	$(GO) run ./dist/embed

depth: build ## build programs whose defences can be removed, for brig drill --depth
	$(GO) run ./dist/weaken -o $(BIN)/depth -ldflags '$(LDFLAGS)'

test-vm: build ## boot kernel 6.1 in QEMU: cgroup v2, AppArmor, SELinux, project quotas, systemd; a part of make test-all
	@BRIG_SLOW=1 BRIG_VM=1 $(GO) test -count=1 -v -timeout 30m ./test/vm

lint: ## gofmt, vet, the arrows between packages, the size of what runs as root
	@test -z "$$(gofmt -l cmd dist internal test)" || { gofmt -l cmd dist internal test; exit 1; }
	$(GO) vet ./...
	$(GO) test ./test/posture

bench: build ## Brig beside the engines that are installed: docs/performance.md
	@$(GO) run ./test/bench -bin $(BIN)

peers: build ## the drill on Docker, Podman and moby as well, fetched first: docs/drill.md
	@$(GO) run ./test/peers -bin $(BIN) -install -write docs/drill.md

confinement: build ## what a container is left with, beside Docker and Podman: docs/confinement.md
	@$(GO) run ./test/confinement -bin $(BIN) -write docs/confinement.md

loc: ## lines of what runs as root: ours and libraries
	@$(GO) run ./test/loc

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

clean: ## remove what was built
	rm -rf $(BIN) $(EMBEDDED)
