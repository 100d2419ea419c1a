import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.Map;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.json.JsonConverter;

/** Prints what Kafka Connect's JSON converter makes of the records in files, one a line. */
public class ConnectJson {
    public static void main(String[] files) throws Exception {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        JsonConverter converter = new JsonConverter();
        converter.configure(Map.of("schemas.enable", "true", "converter.type", "value"));
        for (String file : files) {
            for (String line : Files.readAllLines(Path.of(file))) {
                SchemaAndValue record = converter.toConnectData("topic", line.getBytes(StandardCharsets.UTF_8));
                Struct envelope = (Struct) record.value();
                envelope.validate();
                if (record.schema().name().endsWith("SchemaChangeValue")) {
                    out.println(record.schema().name() + " " + text(envelope.get("ddl")));
                    for (Object change : envelope.getArray("tableChanges")) {
                        out.println(text(change));
                    }
                    out.println();
                    continue;
                }
                if (record.schema().name().endsWith("TransactionMetadataValue")) {
                    out.println(text(envelope));
                    continue;
                }
                out.println(record.schema().name() + " " + envelope.getString("op"));
                Struct after = envelope.getStruct("after");
                for (Field field : after.schema().fields()) {
                    Schema schema = field.schema();
                    String name = schema.name() == null ? "" : " " + schema.name();
                    out.println(field.name() + " " + schema.type().getName() + name + " " + text(after.get(field)));
                }
                out.println();
            }
        }
    }

    private static String text(Object value) {
        if (value instanceof byte[] bytes) {
            return HexFormat.of().formatHex(bytes);
        }
        if (value instanceof ByteBuffer bytes) {
            return HexFormat.of().formatHex(bytes.array());
        }
        if (value instanceof java.math.BigDecimal decimal) {
            return decimal.toPlainString();
        }
        if (value instanceof Struct struct) {
            StringBuilder all = new StringBuilder();
            for (Field field : struct.schema().fields()) {
                all.append(all.isEmpty() ? "" : " ").append(field.name()).append('=').append(text(struct.get(field)));
            }
            return all.toString();
        }
        return String.valueOf(value);
    }
}
