// A stand-in of Supabase Auth: it signs in by password, and signs and verifies tokens, with the key
// that its JWKS shows. It knows nothing else of Auth.
import { generateKeyPairSync, randomUUID, sign, verify } from "node:crypto";

const lifetime = 3600; // s

/** Returns Auth at this address. */
export function standInAuth(issuer) {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const kid = randomUUID(), signing = { dsaEncoding: "ieee-p1363" };
  const users = new Map(); // by email
  const refreshable = new Map(); // a refresh token is good once
  const token = (claims) => {
    const signed = [{ alg: "ES256", typ: "JWT", kid }, { iss: issuer, iat: now(), exp: now() + lifetime, ...claims }].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
    return `${signed}.${sign("sha256", signed, { key: privateKey, ...signing }).toString("base64url")}`;
  };
  const session = ({ id, email }) => {
    const refresh_token = randomUUID();
    refreshable.set(refresh_token, { id, email });
    const user = { id, email, aud: "authenticated", role: "authenticated", app_metadata: {}, user_metadata: {}, created_at: new Date(0).toISOString() };
    return { status: 200, body: { access_token: token({ sub: id, email, role: "authenticated", aud: "authenticated" }), token_type: "bearer", expires_in: lifetime, expires_at: now() + lifetime, refresh_token, user } };
  };
  const signIn = (grant, { email, password, refresh_token }) => {
    const known = users.get(email);
    const user = grant === "refresh_token" ? refreshable.get(refresh_token) : known?.password === password && known;
    refreshable.delete(refresh_token);
    return user ? session(user) : { status: 400, body: { code: 400, error_code: "invalid_credentials", msg: "Invalid login credentials" } };
  };
  return {
    issuer, token,
    /** Lets somebody sign in. Returns the user's id. */
    addUser(email, password, id = randomUUID()) {
      users.set(email, { id, email, password });
      return id;
    },
    /** Returns the claims of a token, or undefined if it is not a valid one. */
    claims(text) {
      const [head, payload, signature] = text.split(".");
      if (!signature || !verify("sha256", `${head}.${payload}`, { key: publicKey, ...signing }, Buffer.from(signature, "base64url"))) return undefined;
      const claims = JSON.parse(Buffer.from(payload, "base64url"));
      return claims.exp > now() ? claims : undefined;
    },
    /** Returns { status, body } for a request to /auth/v1. */
    answer(method, path, query, body) {
      switch (`${method} ${path}`) {
        case "GET /.well-known/jwks.json":
          return { status: 200, body: { keys: [{ ...publicKey.export({ format: "jwk" }), alg: "ES256", use: "sig", kid }] } };
        case "POST /token":
          return signIn(query.get("grant_type"), body);
        case "POST /logout":
          return { status: 204 };
        default:
          return { status: 404, body: { code: 404, error_code: "not_found", msg: "not in this stand-in" } };
      }
    },
  };
}

const now = () => Math.floor(Date.now() / 1000);
