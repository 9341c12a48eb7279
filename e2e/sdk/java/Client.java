import com.fasterxml.jackson.databind.ObjectMapper;
import io.dapr.client.DaprClient;
import io.dapr.client.DaprClientBuilder;
import io.dapr.client.domain.HttpExtension;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What an app does with the SDK: waits for its sidecar, reads metadata (the SDK cannot write any), keeps state, invokes
 * another app. Invocations go over HTTP, everything else over gRPC.
 *
 * <p>Prints what it saw as one JSON object. The sidecar is the one of DAPR_HTTP_PORT and DAPR_GRPC_PORT; the arguments are
 * the app to invoke and a state store.
 */
public final class Client {
  private static final int LIMIT_MILLISECONDS = 60_000;

  /** Exits, since threads of the SDK would go on for ever. */
  public static void main(String[] arguments) {
    try (DaprClient client = new DaprClientBuilder().build()) {
      Map<String, String> seen = use(client, arguments[0], arguments[1]);
      System.out.println(new ObjectMapper().writeValueAsString(seen));
      System.exit(0);
    } catch (Exception error) {
      error.printStackTrace();
      System.exit(1);
    }
  }

  private static Map<String, String> use(DaprClient client, String callee, String store) {
    client.waitForSidecar(LIMIT_MILLISECONDS).block();
    Map<String, String> seen = new LinkedHashMap<>();
    seen.put("id", client.getMetadata().block().getId());
    client.saveState(store, "greeting", "hello").block();
    seen.put("saved", greeting(client, store));
    client.deleteState(store, "greeting").block();
    seen.put("deleted", greeting(client, store));
    byte[] answer =
        client.invokeMethod(callee, "orders/7", Map.of("n", 1), HttpExtension.POST, byte[].class).block();
    seen.put("answer", new String(answer));
    return seen;
  }

  private static String greeting(DaprClient client, String store) {
    String value = client.getState(store, "greeting", String.class).block().getValue();
    return value == null ? "" : value;
  }
}
