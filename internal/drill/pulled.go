package drill

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Images are pulled from registries of the drill's, which are not what they should be. What counts is what the engine
// has afterwards and whom it asked; a refusal counts only if the engine came to the registry at all.

// take pulls an image by a reference, tells whether the engine has it then by any name, and removes it again. A refusal
// is the engine's sentence.
func (r *run) take(g *registry, w ware, ref string, login Login) (have bool, refusal string, err error) {
	names := []string{g.named(ref)}
	for _, n := range []string{g.named(w.tag), g.named(w.manifest), w.config, w.manifest} {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	if err := r.engine.Pull(r.ctx, names[0], login); err != nil {
		refusal = firstLine("refused: " + strings.ReplaceAll(err.Error(), g.host+"/"+repository, "canary"))
	}
	for _, n := range names {
		has, err := r.engine.HasImage(r.ctx, n)
		if err != nil {
			r.drop(names)
			return false, refusal, fmt.Errorf("ask for the image: %w", err)
		}
		have = have || has
	}
	if have {
		r.drop(names)
	}
	return have, refusal, nil
}

// drop removes images, also when the drill was interrupted meanwhile.
func (r *run) drop(names []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), 15*time.Second)
	defer cancel()
	for _, n := range names {
		r.engine.Unload(ctx, n)
	}
}

// shop opens a registry on the host's loopback and pulls an honest image first: who takes nothing at all from there
// would look like one that takes nothing false.
func (r *run) shop() (*registry, error) {
	g := &registry{goods: newGoods()}
	if err := r.openAt(g, "127.0.0.1"); err != nil {
		return nil, fmt.Errorf("open a registry: %w", err)
	}
	honest := g.goods.offer("honest", newCrate(), descriptor{})
	have, refusal, err := r.take(g, honest, honest.tag, Login{})
	if err == nil && !have {
		err = fmt.Errorf("not even an honest image could be pulled from a registry on the host's loopback: %s", refusal)
	}
	if err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

// together is what several attempts of one probe amount to: the worst of them. Those that went as badly are told in turn.
func together(attempts ...Verdict) Verdict {
	sum := slices.MinFunc(attempts, func(a, b Verdict) int {
		return slices.Index(worst, a.Verdict) - slices.Index(worst, b.Verdict)
	})
	var details []string
	for _, v := range attempts {
		if v.Verdict == sum.Verdict {
			details = append(details, v.Detail)
		}
	}
	sum.Detail = strings.Join(details, "; ")
	return sum
}

// tryPulledBytes serves something else than the digests say, once for the manifest and once for a layer.
func tryPulledBytes(r *run) Verdict {
	g, err := r.shop()
	if err != nil {
		return couldNot("%v", err)
	}
	defer g.close()
	return together(r.otherManifest(g), r.otherLayer(g))
}

// otherManifest is pulled by digest, and is a sound image; only not the one that was asked for.
func (r *run) otherManifest(g *registry) Verdict {
	promised := g.goods.offer("promised", newCrate(), descriptor{})
	other := g.goods.offer("other", newCrate(), descriptor{})
	g.goods.swap(promised, other)
	have, refusal, err := r.take(g, other, promised.manifest, Login{})
	return settled("another manifest than the name's digest", have, refusal, err, g.asked("/manifests/"+promised.manifest))
}

// otherLayer has the size that the manifest says and the content that the config says; only the digest of the bytes
// that travel is another's.
func (r *run) otherLayer(g *registry) Verdict {
	promised := digest(newCrate().packed)
	w := g.goods.offer("bytes", newCrate(), descriptor{Digest: promised})
	have, refusal, err := r.take(g, w, w.tag, Login{})
	return settled("a layer that is not its digest", have, refusal, err, g.asked("/blobs/"+promised))
}

// settled judges a pull after which the engine must not have the image.
func settled(what string, have bool, refusal string, err error, asked bool) Verdict {
	switch {
	case err != nil:
		return couldNot("%v", err)
	case have:
		return Verdict{Verdict: Exposed, Detail: "the engine took " + what}
	case !asked:
		return couldNot("the engine did not ask for %s: %s", what, refusal)
	case refusal == "":
		return couldNot("the engine neither refused %s nor has the image", what)
	}
	return Verdict{Verdict: Blocked, Layer: "digest check", Detail: what + " → " + refusal}
}

// tryForeignLayer has the manifest say where a layer is to be fetched: from a service of the host's own.
func tryForeignLayer(r *run) Verdict {
	g, err := r.shop()
	if err != nil {
		return couldNot("%v", err)
	}
	defer g.close()
	service := &registry{goods: newGoods()} // whatever it is: nobody should come
	if err := r.openAt(service, "127.0.0.1"); err != nil {
		return couldNot("open a service of the host: %v", err)
	}
	defer service.close()
	return together(
		r.fetchFrom(g, service, "a foreign layer", "foreign",
			"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
		r.fetchFrom(g, service, "a layer with an address", "addressed", gzipLayer))
}

func (r *run) fetchFrom(g, service *registry, what, tag, kind string) Verdict {
	before := service.knocks.Load()
	w := g.goods.offer(tag, newCrate(), descriptor{MediaType: kind, URLs: []string{"http://" + service.host + "/layer"}})
	have, refusal, err := r.take(g, w, w.tag, Login{})
	switch {
	case service.knocks.Load() > before:
		return Verdict{Verdict: Exposed, Detail: what + " → the engine asked a service on the host's loopback for it"}
	case err != nil:
		return couldNot("%v", err)
	case !g.asked("/manifests/" + tag):
		return couldNot("the engine did not ask for the manifest of %s: %s", what, refusal)
	case refusal != "":
		return Verdict{Verdict: Blocked, Layer: "verification", Detail: what + " → " + refusal}
	case have:
		return Verdict{Verdict: Blocked, Layer: "own registry only", Detail: what + " → taken from the registry itself"}
	}
	return couldNot("the engine neither refused %s nor has the image", what)
}
