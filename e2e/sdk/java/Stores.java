import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.dapr.client.DaprClientBuilder;
import io.dapr.client.DaprPreviewClient;
import io.dapr.client.domain.ConfigurationItem;
import io.dapr.client.domain.QueryStateItem;
import io.dapr.client.domain.State;
import io.dapr.client.domain.StateOptions;
import io.dapr.client.domain.SubscribeConfigurationResponse;
import io.dapr.client.domain.TransactionalStateOperation;
import io.dapr.client.domain.TransactionalStateOperation.OperationType;
import io.dapr.exceptions.DaprException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import reactor.core.publisher.Mono;

/**
 * What an app does with the SDK and stores: state, secrets, configuration and locks, all over gRPC.
 *
 * <p>Prints "subscribed" once it waits for a change of the setting "colour", and at the end what it saw as one JSON object.
 * The sidecar is the one of DAPR_HTTP_PORT and DAPR_GRPC_PORT; its components are "store", "secrets", "settings" and
 * "locks".
 */
public final class Stores {
  private static final Duration LIMIT = Duration.ofMinutes(4);
  private static final Map<String, String> AS_JSON = Map.of("contentType", "application/json");
  private static final StateOptions FIRST_WRITE =
      new StateOptions(StateOptions.Consistency.STRONG, StateOptions.Concurrency.FIRST_WRITE);

  private final io.dapr.client.DaprClient client;
  private final DaprPreviewClient preview;
  private final Map<String, String> seen = new LinkedHashMap<>();

  private Stores(io.dapr.client.DaprClient client, DaprPreviewClient preview) {
    this.client = client;
    this.preview = preview;
  }

  /** Exits, since threads of the SDK would go on for ever. */
  public static void main(String[] arguments) {
    try (var client = new DaprClientBuilder().build();
        var preview = new DaprClientBuilder().buildPreviewClient()) {
      client.waitForSidecar((int) LIMIT.toMillis()).block();
      var stores = new Stores(client, preview);
      stores.useState();
      stores.useSecrets();
      stores.useSettings();
      stores.useLocks();
      System.out.println(new ObjectMapper().writeValueAsString(stores.seen));
      System.exit(0);
    } catch (Exception error) {
      error.printStackTrace();
      System.exit(1);
    }
  }

  private void save(String key, int number, String etag) {
    var state = new State<>(key, Map.of("n", number), etag, AS_JSON, FIRST_WRITE);
    client.saveBulkState("store", List.<State<?>>of(state)).block();
  }

  private void useState() {
    save("a", 1, null);
    save("b", 2, null);
    var found = preview.queryState("store", "{\"filter\": {\"EQ\": {\"n\": 1}}}", JsonNode.class).block();
    seen.put("queried", String.join(",", found.getResults().stream().map(QueryStateItem::getKey).toList()));
    String etag = client.getState("store", "a", JsonNode.class).block().getEtag();
    save("a", 3, etag);
    String conflict = "none";
    try {
      save("a", 4, etag);
    } catch (DaprException error) {
      conflict = error.getErrorCode();
    }
    seen.put("conflict", conflict);
    List<TransactionalStateOperation<?>> operations =
        List.of(
            new TransactionalStateOperation<>(OperationType.UPSERT, new State<>("c", "c", "")),
            new TransactionalStateOperation<>(OperationType.DELETE, new State<>("b")));
    client.executeStateTransaction("store", operations).block();
    var each = new TreeMap<String, String>();
    for (State<JsonNode> state : client.getBulkState("store", List.of("a", "b", "c"), JsonNode.class).block()) {
      each.put(state.getKey(), state.getValue() == null ? "" : state.getValue().toString());
    }
    var written = new ArrayList<String>();
    each.forEach((key, value) -> written.add(key + "=" + value));
    seen.put("bulk", String.join(",", written));
  }

  private void useSecrets() {
    seen.put("secret", client.getSecret("secrets", "first").block().get("first"));
    seen.put("secrets", String.join(",", new TreeSet<>(client.getBulkSecret("secrets").block().keySet())));
  }

  private void useSettings() {
    ConfigurationItem setting = client.getConfiguration("settings", "colour").block();
    seen.put("setting", setting.getValue() + " " + setting.getVersion());
    // The first answer has the subscription alone.
    Mono<SubscribeConfigurationResponse> change =
        client.subscribeConfiguration("settings", "colour").filter(update -> !update.getItems().isEmpty()).next();
    Mono<Void> said = Mono.fromRunnable(() -> System.out.println("subscribed"));
    SubscribeConfigurationResponse update = Mono.zip(change, said.thenReturn(true)).block(LIMIT).getT1();
    seen.put("changed", update.getItems().get("colour").getValue());
    client.unsubscribeConfiguration(update.getSubscriptionId(), "settings").block();
    seen.put("ended", "true");
  }

  private void useLocks() {
    Boolean first = preview.tryLock("locks", "door", "one", 60).block();
    Boolean second = preview.tryLock("locks", "door", "two", 60).block();
    seen.put("locked", first + "," + second);
    var unlocked = new ArrayList<String>();
    for (String owner : List.of("two", "one", "one")) {
      unlocked.add(preview.unlock("locks", "door", owner).block().toString());
    }
    seen.put("unlocked", String.join(",", unlocked));
  }
}
