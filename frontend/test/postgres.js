// A PostgreSQL of its own with what Supabase brings along, for what docs/supabase.md shows.
// Debian's package postgresql has the programs.
import { execFile, execFileSync, spawn } from "node:child_process";
import { chown, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const roles = `
  create role anon; create role authenticated; create role service_role bypassrls;
  grant usage on schema public to anon, authenticated, service_role;
  alter default privileges grant all on tables to anon, authenticated, service_role;
  alter default privileges grant execute on functions to anon, authenticated, service_role;
  create schema auth; grant usage on schema auth to anon, authenticated, service_role;
  create function auth.uid() returns uuid language sql as $$ select current_setting('request.jwt.sub')::uuid $$;
  create publication supabase_realtime;`;

let sql; // of the server that was started

/** Starts a server that is reached through a socket in its own folder. */
export async function startPostgres() {
  const bin = await programs();
  const folder = await mkdtemp(join(tmpdir(), "nanobanana-postgres-"));
  const as = await postgresUser();
  if (as.uid) await chown(folder, as.uid, as.gid);
  const run = (program, ...args) => promisify(execFile)(join(bin, program), args, { ...as, cwd: folder });
  await run("initdb", "-D", folder, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync");
  const server = spawn(join(bin, "postgres"), ["-D", folder, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "wal_level=logical"], { ...as, cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise((resolve) => server.on("exit", resolve));
  await new Promise((resolve, reject) => {
    let log = "";
    server.stderr.on("data", (chunk) => { if ((log += chunk).includes("ready to accept connections")) resolve(); });
    server.on("exit", (code) => reject(new Error(`PostgreSQL ended with ${code}: ${log}`)));
  });
  sql = async (text) => (await run("psql", "-h", folder, "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-qAtX", "-c", text)).stdout.trim();
  await sql(roles);
  return {
    sql,
    async stop() {
      server.kill("SIGINT");
      await ended;
      await rm(folder, { recursive: true });
    },
  };
}

/** Stands in for supabase-js: calls a function of the database by the role of its key. */
export function createClient(_url, role) {
  return {
    async rpc(name, args) {
      const named = Object.entries(args).map(([key, value]) => `${key} => '${JSON.stringify(value).replaceAll("'", "''")}'`);
      try {
        await sql(`set role ${role}; select ${name}(${named})`);
        return { error: null };
      } catch (error) {
        return { error };
      }
    },
  };
}

// programs returns the folder of PostgreSQL's programs, which Debian has by version.
async function programs() {
  const all = "/usr/lib/postgresql";
  const versions = (await readdir(all).catch(() => [])).sort((a, b) => b - a);
  if (versions.length > 0) return join(all, versions[0], "bin");
  return execFileSync("pg_config", ["--bindir"], { encoding: "utf8" }).trim();
}

// postgresUser returns whom to run as: PostgreSQL refuses to run as root.
async function postgresUser() {
  if (process.getuid() !== 0) return {};
  const id = (flag) => Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8" }));
  return { uid: id("-u"), gid: id("-g") };
}
