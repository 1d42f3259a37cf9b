// The network as Java programs use it: java Fetch.java KIND URL prints what the server said.
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;

public class Fetch {
  public static void main(String[] args) throws Exception {
    URI uri = URI.create(args[1]);
    try {
      System.out.print(args[0].equals("client") ? byClient(uri) : byConnection(uri));
    } catch (Exception e) {
      System.out.println("failed " + e);
      System.exit(1);
    }
  }

  private static String byClient(URI uri) throws Exception {
    HttpClient client = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(20)).build();
    HttpRequest request = HttpRequest.newBuilder(uri).build();
    String first = client.send(request, HttpResponse.BodyHandlers.ofString()).body();
    return first + client.send(request, HttpResponse.BodyHandlers.ofString()).body();
  }

  private static String byConnection(URI uri) throws Exception {
    HttpURLConnection connection = (HttpURLConnection) uri.toURL().openConnection();
    connection.setConnectTimeout(20000);
    try (InputStream in = connection.getInputStream()) {
      return new String(in.readAllBytes());
    }
  }
}
