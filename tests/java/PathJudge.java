import java.io.InputStream;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.Security;
import java.security.cert.CertPathValidator;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertificateFactory;
import java.security.cert.CertificateRevokedException;
import java.security.cert.PKIXParameters;
import java.security.cert.PKIXRevocationChecker;
import java.security.cert.PKIXRevocationChecker.Option;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/**
 * Java's own path validation with revocation checking (java.security.cert, PKIX).
 *
 * <p>Usage: {@code java PathJudge.java ROOT.pem CHAIN.pem...}, chains leaf first, roots left out. Prints a line for every chain
 * and way of asking: {@code FILE WAY VERDICT}, the verdict being {@code good}, {@code revoked REASON} or {@code failed: WHY}.
 * The ways: {@code ocsp} asks for every certificate where its AIA says, {@code leaf} for the leaf alone, {@code crl} reads the
 * lists that the CRL distribution points name; none falls back on another. With {@code -Dresponder=URL}, {@code named} asks for the
 * leaf there.
 */
public final class PathJudge {
    public static void main(String[] arguments) throws Exception {
        Security.setProperty("ocsp.enable", "true");
        System.setProperty("com.sun.security.enableCRLDP", "true");
        X509Certificate root = load(Path.of(arguments[0])).get(0);
        for (String file : List.of(arguments).subList(1, arguments.length)) {
            Path path = Path.of(file);
            List<X509Certificate> chain = load(path);
            Set<Option> leaf = EnumSet.of(Option.NO_FALLBACK, Option.ONLY_END_ENTITY);
            say(path, "ocsp", judge(root, chain, EnumSet.of(Option.NO_FALLBACK), null));
            say(path, "leaf", judge(root, chain, leaf, null));
            say(path, "crl", judge(root, chain, EnumSet.of(Option.NO_FALLBACK, Option.PREFER_CRLS), null));
            String responder = System.getProperty("responder");
            if (responder != null) {
                say(path, "named", judge(root, chain, leaf, URI.create(responder)));
            }
        }
    }

    private static void say(Path path, String way, String verdict) {
        System.out.println(path.getFileName() + " " + way + " " + verdict);
    }

    private static List<X509Certificate> load(Path path) throws Exception {
        try (InputStream stream = Files.newInputStream(path)) {
            return CertificateFactory.getInstance("X.509").generateCertificates(stream).stream()
                    .map(X509Certificate.class::cast)
                    .toList();
        }
    }

    private static String judge(X509Certificate root, List<X509Certificate> chain, Set<Option> options, URI responder)
            throws Exception {
        CertPathValidator validator = CertPathValidator.getInstance("PKIX");
        PKIXRevocationChecker checker = (PKIXRevocationChecker) validator.getRevocationChecker();
        checker.setOptions(options);
        checker.setOcspResponder(responder);
        PKIXParameters parameters = new PKIXParameters(Set.of(new TrustAnchor(root, null)));
        parameters.addCertPathChecker(checker);
        try {
            validator.validate(CertificateFactory.getInstance("X.509").generateCertPath(chain), parameters);
            return "good";
        } catch (CertPathValidatorException error) {
            if (error.getCause() instanceof CertificateRevokedException revoked) {
                return "revoked " + revoked.getRevocationReason();
            }
            return "failed: " + error + ", " + error.getCause();
        }
    }
}
