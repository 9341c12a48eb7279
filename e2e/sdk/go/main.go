// What an app does with the SDK: waits for its sidecar, reads and writes metadata, keeps state, invokes another app.
//
// Prints what it saw as one JSON object. The sidecar is the one of DAPR_GRPC_PORT; the arguments are "client", the app to
// invoke and a state store, or "stores" alone.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"time"

	dapr "github.com/dapr/go-sdk/client"
)

// Longer than any machine needs.
const limit = 4 * time.Minute

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	client, err := dapr.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	var seen map[string]string
	switch os.Args[1] {
	case "client":
		seen, err = use(ctx, client, os.Args[2], os.Args[3])
	case "stores":
		seen, err = useStores(ctx, client)
	default:
		log.Fatalf("unknown program %q", os.Args[1])
	}
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(seen); err != nil {
		log.Fatal(err)
	}
}

func use(ctx context.Context, client dapr.Client, callee, store string) (map[string]string, error) {
	if err := client.Wait(ctx, limit); err != nil {
		return nil, err
	}
	if err := client.SetMetadata(ctx, "sdk", "go"); err != nil {
		return nil, err
	}
	metadata, err := client.GetMetadata(ctx)
	if err != nil {
		return nil, err
	}
	saved, deleted, err := keep(ctx, client, store)
	if err != nil {
		return nil, err
	}
	content := &dapr.DataContent{Data: []byte(`{"n":1}`), ContentType: "application/json"}
	answer, err := client.InvokeMethodWithContent(ctx, callee, "orders/7", "post", content)
	if err != nil {
		return nil, err
	}
	return map[string]string{
		"id":      metadata.ID,
		"note":    metadata.ExtendedMetadata["sdk"],
		"saved":   saved,
		"deleted": deleted,
		"answer":  string(answer),
	}, nil
}

// What a key is after it was saved, and after it was deleted.
func keep(ctx context.Context, client dapr.Client, store string) (saved, deleted string, err error) {
	if err := client.SaveState(ctx, store, "greeting", []byte("hello"), nil); err != nil {
		return "", "", err
	}
	first, err := client.GetState(ctx, store, "greeting", nil)
	if err != nil {
		return "", "", err
	}
	if err := client.DeleteState(ctx, store, "greeting", nil); err != nil {
		return "", "", err
	}
	second, err := client.GetState(ctx, store, "greeting", nil)
	if err != nil {
		return "", "", err
	}
	return string(first.Value), string(second.Value), nil
}
