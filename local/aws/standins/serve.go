package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/preset/nanobanana-functions/shared/aws/env"
	"github.com/preset/nanobanana-functions/shared/aws/taskdb/taskdbtest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

const (
	providerPath = "/provider"
	mintPath     = "/auth/v1"
	ordersPath   = "/orders" // serves the provider's tasks
	table        = "tasks"
	bucket       = "pictures"

	// The start of links and callback URLs. Nothing listens there.
	publicURL = "https://sam-local.invalid"
)

// serve runs the stand-ins behind one address, which the functions reach as host: the
// engine at AWS_ENDPOINT_URL, the provider and the mint.
func serve(ctx context.Context, host string) error {
	engine, err := url.Parse(os.Getenv("AWS_ENDPOINT_URL"))
	if err != nil || engine.Host == "" {
		return errors.New("AWS_ENDPOINT_URL is not set: start the stand-ins with local/aws/sam up")
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(address(host), "0"))
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	origin := "http://" + net.JoinHostPort(host, port)

	// It does not call back, since nothing listens. The story invokes Callback itself.
	provider := nanobananatest.New(func(k *nanobananatest.Knobs) { k.LoseCallbacks = true })
	provider.URL = origin + providerPath
	defer provider.Close()
	mint, err := openMint(origin + mintPath)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", httputil.NewSingleHostReverseProxy(engine))
	mux.Handle(providerPath+"/", http.StripPrefix(providerPath, provider))
	mux.Handle(mintPath+"/", http.StripPrefix(mintPath, mint))
	mux.HandleFunc(ordersPath, func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(provider.Tasks()) // fails only if the reader is gone
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	defer func() { _ = server.Close() }()

	if err := prepare(ctx, host, listener.Addr().String(), origin); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

// address returns the address to listen on. Containers can reach it and, if possible,
// nothing else: Docker's bridge, or loopback if Docker runs in a virtual machine.
// STANDINS_ADDRESS sets it for other engines.
func address(host string) string {
	if set := os.Getenv("STANDINS_ADDRESS"); set != "" || host == "127.0.0.1" {
		return cmp.Or(set, host)
	}
	if bridge, err := net.InterfaceByName("docker0"); err == nil {
		if addresses, err := bridge.Addrs(); err == nil && len(addresses) > 0 {
			if ip, _, err := net.ParseCIDR(addresses[0].String()); err == nil {
				return ip.String()
			}
		}
	}
	return "127.0.0.1"
}

// prepare creates the table, the bucket and the secret, and writes the files that an
// invocation needs. env.json is last: it shows that everything is ready.
func prepare(ctx context.Context, host, address, origin string) error {
	secret, err := create(ctx)
	if err != nil {
		return err
	}
	if err := write("address", []byte(address)); err != nil {
		return err
	}
	if err := write("host", []byte(host)); err != nil {
		return err
	}
	env, err := json.MarshalIndent(environment{map[string]string{
		"AWS_ENDPOINT_URL": origin, "TABLE": table, "BUCKET": bucket, "SECRET_ARN": secret, "PUBLIC_URL": publicURL,
		"AUTH_ISSUER": origin + mintPath, "NANOBANANA_BASE_URL": origin + providerPath,
		"RESULT_HOSTS": strings.TrimPrefix(origin, "http://"),
	}}, "", "  ")
	if err != nil {
		return err
	}
	return write("env.json", env)
}

// environment is SAM's file of variables; Parameters apply to all functions.
type environment struct{ Parameters map[string]string }

// create creates the template's resources, and returns the secret's ARN.
func create(ctx context.Context) (secret string, err error) {
	c := env.Config(10 * time.Second)
	if _, err := dynamodb.NewFromConfig(c).CreateTable(ctx, taskdbtest.Table(table)); err != nil {
		return "", fmt.Errorf("create the table: %w", err)
	}
	_, err = s3.NewFromConfig(c, func(o *s3.Options) { o.UsePathStyle = true }).CreateBucket(ctx, &s3.CreateBucketInput{
		Bucket: aws.String(bucket), CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(c.Region)},
	})
	if err != nil {
		return "", fmt.Errorf("create the bucket: %w", err)
	}
	value, err := json.Marshal(map[string]any{
		"apiKey":       nanobananatest.DefaultKey,
		"callbackKeys": []map[string]string{{"id": keyID, "key": callbackKey}},
		"imageKeys":    []map[string]string{{"id": keyID, "key": imageKey}},
	})
	if err != nil {
		return "", err
	}
	made, err := secretsmanager.NewFromConfig(c).CreateSecret(ctx, &secretsmanager.CreateSecretInput{
		Name: aws.String("nanobanana"), SecretString: aws.String(string(value)),
	})
	if err != nil {
		return "", fmt.Errorf("create the secret: %w", err)
	}
	return *made.ARN, nil
}

// write writes a file in dir atomically.
func write(name string, content []byte) error {
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path+".part", content, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".part", path)
}
