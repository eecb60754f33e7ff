import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.cert.CRL;
import java.security.cert.CertPathValidator;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertStore;
import java.security.cert.CertificateFactory;
import java.security.cert.CollectionCertStoreParameters;
import java.security.cert.PKIXParameters;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * Java's own path validation by the lists that it is given, and no others.
 *
 * <p>Usage: {@code java CrlJudge.java ROOT.pem CHAIN.pem CRL...}, the chain leaf first, the root left out. Ends with 0 when Java
 * accepts the chain, else with 1.
 */
public final class CrlJudge {
    public static void main(String[] arguments) throws Exception {
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        X509Certificate root = load(factory, arguments[0]).get(0);
        List<CRL> lists = new ArrayList<>();
        for (String file : List.of(arguments).subList(2, arguments.length)) {
            try (InputStream stream = Files.newInputStream(Path.of(file))) {
                lists.addAll(factory.generateCRLs(stream));
            }
        }
        PKIXParameters parameters = new PKIXParameters(Set.of(new TrustAnchor(root, null)));
        parameters.addCertStore(CertStore.getInstance("Collection", new CollectionCertStoreParameters(lists)));
        try {
            CertPathValidator.getInstance("PKIX")
                    .validate(factory.generateCertPath(load(factory, arguments[1])), parameters);
            System.out.println("accepted");
        } catch (CertPathValidatorException error) {
            System.out.println("refused: " + error + ", " + error.getCause());
            System.exit(1);
        }
    }

    private static List<X509Certificate> load(CertificateFactory factory, String file) throws Exception {
        try (InputStream stream = Files.newInputStream(Path.of(file))) {
            return factory.generateCertificates(stream).stream().map(X509Certificate.class::cast).toList();
        }
    }
}
