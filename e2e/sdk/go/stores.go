package main

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc/status"
)

// What an app does with stores: the components "store", "secrets", "settings" and "locks". Prints "subscribed" once it waits
// for a change of the setting "colour".
func useStores(ctx context.Context, client dapr.Client) (map[string]string, error) {
	if err := client.Wait(ctx, limit); err != nil {
		return nil, err
	}
	seen := map[string]string{}
	for _, use := range []func(context.Context, dapr.Client, map[string]string) error{
		useState, useSecrets, useSettings, useLocks,
	} {
		if err := use(ctx, client, seen); err != nil {
			return nil, err
		}
	}
	return seen, nil
}

func item(key, value, etag string) *dapr.SetStateItem {
	item := &dapr.SetStateItem{
		Key: key, Value: []byte(value), Metadata: map[string]string{"contentType": "application/json"},
		Options: &dapr.StateOptions{Concurrency: dapr.StateConcurrencyFirstWrite},
	}
	if etag != "" {
		item.Etag = &dapr.ETag{Value: etag}
	}
	return item
}

func useState(ctx context.Context, client dapr.Client, seen map[string]string) error {
	if err := client.SaveBulkState(ctx, "store", item("a", `{"n":1}`, ""), item("b", `{"n":2}`, "")); err != nil {
		return err
	}
	found, err := client.QueryStateAlpha1(ctx, "store", `{"filter": {"EQ": {"n": 1}}}`, nil)
	if err != nil {
		return err
	}
	var queried []string
	for _, result := range found.Results {
		queried = append(queried, result.Key)
	}
	seen["queried"] = strings.Join(queried, ",")
	first, err := client.GetState(ctx, "store", "a", nil)
	if err != nil {
		return err
	}
	if err := client.SaveBulkState(ctx, "store", item("a", `{"n":3}`, first.Etag)); err != nil {
		return err
	}
	seen["conflict"] = "none"
	if err := client.SaveBulkState(ctx, "store", item("a", `{"n":4}`, first.Etag)); err != nil {
		seen["conflict"] = code(err)
	}
	operations := []*dapr.StateOperation{
		{Type: dapr.StateOperationTypeUpsert, Item: &dapr.SetStateItem{Key: "c", Value: []byte(`"c"`)}},
		{Type: dapr.StateOperationTypeDelete, Item: &dapr.SetStateItem{Key: "b"}},
	}
	if err := client.ExecuteStateTransaction(ctx, "store", nil, operations); err != nil {
		return err
	}
	bulk, err := client.GetBulkState(ctx, "store", []string{"a", "b", "c"}, nil, 2)
	if err != nil {
		return err
	}
	var each []string
	for _, one := range bulk {
		each = append(each, one.Key+"="+strings.ReplaceAll(string(one.Value), " ", ""))
	}
	sort.Strings(each)
	seen["bulk"] = strings.Join(each, ",")
	return nil
}

// The SDK wraps what gRPC said.
func code(err error) string {
	for ; err != nil; err = errors.Unwrap(err) {
		if said, ok := status.FromError(err); ok {
			return said.Code().String()
		}
	}
	return "no status"
}

func useSecrets(ctx context.Context, client dapr.Client, seen map[string]string) error {
	secret, err := client.GetSecret(ctx, "secrets", "first", nil)
	if err != nil {
		return err
	}
	seen["secret"] = secret["first"]
	all, err := client.GetBulkSecret(ctx, "secrets", nil)
	if err != nil {
		return err
	}
	var names []string
	for name := range all {
		names = append(names, name)
	}
	sort.Strings(names)
	seen["secrets"] = strings.Join(names, ",")
	return nil
}

func useSettings(ctx context.Context, client dapr.Client, seen map[string]string) error {
	items, err := client.GetConfigurationItems(ctx, "settings", []string{"colour"})
	if err != nil {
		return err
	}
	seen["setting"] = items["colour"].Value + " " + items["colour"].Version
	told := make(chan string, 1)
	subscribed, end := context.WithCancel(ctx)
	defer end()
	changes := func(_ string, items map[string]*dapr.ConfigurationItem) {
		select {
		case told <- items["colour"].Value:
		default:
		}
	}
	if _, err := client.SubscribeConfigurationItems(subscribed, "settings", []string{"colour"}, changes); err != nil {
		return err
	}
	fmt.Println("subscribed")
	select {
	case seen["changed"] = <-told:
	case <-ctx.Done():
		return errors.New("nobody told of the change")
	}
	seen["ended"] = "true"
	return nil
}

func useLocks(ctx context.Context, client dapr.Client, seen map[string]string) error {
	var locked, unlocked []string
	for _, owner := range []string{"one", "two"} {
		request := &dapr.LockRequest{ResourceID: "door", LockOwner: owner, ExpiryInSeconds: 60}
		answer, err := client.TryLockAlpha1(ctx, "locks", request)
		if err != nil {
			return err
		}
		locked = append(locked, fmt.Sprint(answer.Success))
	}
	for _, owner := range []string{"two", "one", "one"} {
		answer, err := client.UnlockAlpha1(ctx, "locks", &dapr.UnlockRequest{ResourceID: "door", LockOwner: owner})
		if err != nil {
			return err
		}
		unlocked = append(unlocked, answer.Status)
	}
	seen["locked"], seen["unlocked"] = strings.Join(locked, ","), strings.Join(unlocked, ",")
	return nil
}
