package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// The files of a certificates directory.
const (
	caFile        = "ca.crt"
	serverCert    = "server.crt"
	serverKey     = "server.key"
	kioskCertFile = "kiosk.crt"
	kioskKeyFile  = "kiosk.key"
)

// certificateLife is how long the certificates are good for.
const certificateLife = 365 * 24 * time.Hour

// partnerTLS returns the configuration of the sample partner's listener for
// kiosks, with the certificates in dir, which are made if there are none: a
// CA, whose key is thrown away, a server's for loopback and a kiosk's. A
// client certificate is verified where one is shown; which calls need one is
// the backend's to say.
func partnerTLS(dir string, now time.Time) (*tls.Config, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s holds keys and is open to others (mode %o): chmod 700 it", dir, info.Mode().Perm())
	}
	if _, err = os.Stat(filepath.Join(dir, caFile)); errors.Is(err, os.ErrNotExist) {
		err = makeCertificates(dir, now)
	}
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(filepath.Join(dir, caFile))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s holds no certificate: remove the directory to have new ones made", filepath.Join(dir, caFile))
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, serverCert), filepath.Join(dir, serverKey))
	if err != nil {
		return nil, fmt.Errorf("%w: remove %s to have new ones made", err, dir)
	}
	if now.After(pair.Leaf.NotAfter) {
		return nil, fmt.Errorf("the certificates in %s expired on %s: remove it to have new ones made", dir, pair.Leaf.NotAfter.Format(time.DateOnly))
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{pair},
		ClientCAs:    roots,
		ClientAuth:   tls.VerifyClientCertIfGiven,
	}, nil
}

// makeCertificates writes a set of certificates. The CA's is the last, so a set
// that has it is whole.
func makeCertificates(dir string, now time.Time) error {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := func(serial int64, name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
			// A clock that is a little behind must not refuse them.
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife),
			BasicConstraintsValid: true,
		}
	}
	ca := template(1, "livekiosk sample partner CA")
	ca.IsCA, ca.MaxPathLenZero, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	server := template(2, "sample partner")
	server.KeyUsage, server.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	server.DNSNames, server.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	client := template(3, "sample-kiosk")
	client.KeyUsage, client.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}

	for _, c := range []struct {
		template  *x509.Certificate
		cert, key string
	}{{server, serverCert, serverKey}, {client, kioskCertFile, kioskKeyFile}, {ca, caFile, ""}} {
		key := caKey
		if c.key != "" {
			if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
				return err
			}
			der, err := x509.MarshalPKCS8PrivateKey(key)
			if err != nil {
				return err
			}
			if err = writeFile(filepath.Join(dir, c.key), "PRIVATE KEY", der); err != nil {
				return err
			}
		}
		der, err := x509.CreateCertificate(rand.Reader, c.template, ca, &key.PublicKey, caKey)
		if err != nil {
			return err
		}
		if err = writeFile(filepath.Join(dir, c.cert), "CERTIFICATE", der); err != nil {
			return err
		}
	}
	return nil
}

// writeFile writes a PEM file whole or not at all.
func writeFile(path, kind string, der []byte) error {
	fresh := path + ".new"
	if err := os.WriteFile(fresh, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}
