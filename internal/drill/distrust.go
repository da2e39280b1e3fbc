package drill

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"time"
)

// The engine is given credentials for a registry, and the registry tries to have them sent where they do not belong.

func newLogin() Login { return Login{"drill", string(newToken())} }

// tryCredentials looks whether a password, and the token that was bought with it, follow a blob to another host.
func tryCredentials(r *run) Verdict {
	return together(r.redirected("Basic", "password"), r.redirected("Bearer", "token"))
}

// redirected serves manifests to who is known, and sends him to another host for blobs; that one sends him on to
// itself, since clients are known that find their credentials again on the second hop.
func (r *run) redirected(scheme, secret string) Verdict {
	other := &registry{goods: newGoods(), astray: true}
	if err := r.openAt(other, "127.0.0.2"); err != nil {
		return couldNot("open the other host: %v", err)
	}
	defer other.close()
	g := &registry{goods: other.goods, demand: scheme, login: newLogin(), ticket: newToken(), away: other.host}
	if err := r.openAt(g, "127.0.0.1"); err != nil {
		return couldNot("open a registry: %v", err)
	}
	defer g.close()
	w := g.goods.offer("redirected", newCrate(), descriptor{})
	_, refusal, err := r.take(g, w, w.tag, g.login)
	switch {
	case other.heard(g.login.Password, string(g.ticket)):
		return Verdict{Verdict: Exposed, Detail: "the " + secret + " followed a redirect to another host"}
	case err != nil:
		return couldNot("%v", err)
	case g.sent.Load() == 0:
		return couldNot("the engine was never redirected: %s", refusal)
	case other.asked(""):
		return Verdict{Verdict: Blocked, Layer: "credential scope",
			Detail: "the redirect was followed without the " + secret}
	case refusal == "":
		return couldNot("the engine did not follow the redirect and says nothing")
	}
	return Verdict{Verdict: Blocked, Layer: "redirect check", Detail: refusal}
}

// tryPlainHTTP has a registry on the network that knows no TLS.
func tryPlainHTTP(r *run) Verdict {
	l, err := r.world.listenTCP()
	if err != nil {
		return couldNot("open a registry in the canary network: %v", err)
	}
	return r.distrust(l, "over plain HTTP", "TLS required")
}

// tryCertificate has a registry on the network that vouches for itself.
func tryCertificate(r *run) Verdict {
	l, err := r.world.listenTCP()
	if err != nil {
		return couldNot("open a registry in the canary network: %v", err)
	}
	c, err := selfSigned(l.Addr().(*net.TCPAddr).IP)
	if err != nil {
		l.Close()
		return couldNot("make a certificate: %v", err)
	}
	return r.distrust(l, "past a certificate that nobody vouches for", "TLS verification", c)
}

// distrust pulls, with a password, from a registry that could be anybody.
func (r *run) distrust(l net.Listener, how, layer string, certificates ...tls.Certificate) Verdict {
	g := &registry{goods: newGoods(), demand: "Basic", login: newLogin()}
	g.open(l, certificates...)
	defer g.close()
	w := g.goods.offer("anybody", newCrate(), descriptor{})
	have, refusal, err := r.take(g, w, w.tag, g.login)
	switch {
	case g.heard(g.login.Password):
		return Verdict{Verdict: Exposed, Detail: "the password was sent " + how}
	case have || g.asked("/manifests/"+w.tag):
		return Verdict{Verdict: Exposed, Detail: "the image was asked for " + how}
	case err != nil:
		return couldNot("%v", err)
	case g.knocks.Load() == 0:
		return couldNot("the engine did not try to connect: %s", refusal)
	case refusal == "":
		return couldNot("the engine neither refused nor has the image")
	}
	return Verdict{Verdict: Blocked, Layer: layer, Detail: refusal}
}

// selfSigned is a certificate that is in order but for who has signed it.
func selfSigned(ip net.IP) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "brig drill"}, IPAddresses: []net.IP{ip},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
