// A PostgreSQL of its own with the roles that Supabase has. Debian's package postgresql has the programs.
import { execFile, execFileSync, spawn } from "node:child_process";
import { chown, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import pg from "pg";

// As in Supabase, postgres is no superuser: migrations run with its rights.
const roles = `
  create role postgres login createdb createrole replication bypassrls;
  create role anon nologin noinherit;
  create role authenticated nologin noinherit;
  create role service_role nologin noinherit bypassrls;
  create role authenticator login noinherit;
  grant anon, authenticated, service_role to postgres, authenticator;`;

// What an empty project has, for the role postgres.
const project = `
  grant all on schema public to postgres;
  grant usage on schema public to anon, authenticated, service_role;
  create schema auth; grant usage on schema auth to postgres, anon, authenticated, service_role;
  create function auth.jwt() returns jsonb language sql stable as $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb $$;
  create function auth.uid() returns uuid language sql stable as $$ select (auth.jwt() ->> 'sub')::uuid $$;
  create publication supabase_realtime; alter publication supabase_realtime owner to postgres;
  alter default privileges for role postgres in schema public grant all on tables to anon, authenticated, service_role;
  alter default privileges for role postgres in schema public grant all on sequences to anon, authenticated, service_role;
  alter default privileges for role postgres in schema public grant all on functions to anon, authenticated, service_role;`;

// What Supabase takes away since 2026: truncate, references and trigger stay with these roles.
const defaultPrivileges = {
  old: "",
  new: `
    alter default privileges for role postgres in schema public revoke select, insert, update, delete on tables from anon, authenticated, service_role;
    alter default privileges for role postgres in schema public revoke usage, select on sequences from anon, authenticated, service_role;
    alter default privileges for role postgres in schema public revoke execute on functions from anon, authenticated, service_role;
    alter default privileges for role postgres revoke execute on functions from public;`,
};

/** Starts a server that is reached through a socket in its own folder. */
export async function startPostgres() {
  const bin = await programs();
  const folder = await mkdtemp(join(tmpdir(), "nanobanana-postgres-"));
  const user = await postgresUser();
  if (user.uid) await chown(folder, user.uid, user.gid);
  const options = { ...user, cwd: folder };
  await promisify(execFile)(join(bin, "initdb"), ["-D", folder, "-U", "supabase_admin", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"], options);
  const server = spawn(join(bin, "postgres"), ["-D", folder, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "wal_level=logical"], { ...options, stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise((resolve) => server.on("exit", resolve));
  await new Promise((resolve, reject) => {
    let log = "";
    server.stderr.on("data", (chunk) => { if ((log += chunk).includes("ready to accept connections")) resolve(); });
    server.on("exit", (code) => reject(new Error(`PostgreSQL ended with ${code}: ${log}`)));
  });

  const pools = new Map();
  const pool = (database, role) => {
    const name = `${role}@${database}`;
    if (!pools.has(name)) pools.set(name, new pg.Pool({ host: folder, database, user: role, max: 4 }));
    return pools.get(name);
  };
  await pool("template1", "supabase_admin").query(roles);
  return {
    /** Makes a database that is like an empty project with the old or the new default privileges. */
    async project(name, privileges) {
      await pool("template1", "supabase_admin").query(`create database ${name}`);
      await pool(name, "supabase_admin").query(project + defaultPrivileges[privileges]);
      return {
        /** Runs SQL as a migration does. Without parameters it may be several statements. */
        sql: async (text, parameters) => (await pool(name, "postgres").query(text, parameters)).rows,
        /** Runs one statement as PostgREST does: as the role of a token that has these claims. */
        as: async (role, claims, text, parameters) => asRole(await pool(name, "authenticator").connect(), role, claims, text, parameters),
      };
    },
    async stop() {
      await Promise.all([...pools.values()].map((pool) => pool.end()));
      server.kill("SIGTERM"); // it waits until these have hung up
      await ended;
      await rm(folder, { recursive: true });
    },
  };
}

async function asRole(client, role, claims, text, parameters) {
  try {
    await client.query("begin");
    await client.query("select set_config('role', $1, true), set_config('request.jwt.claims', $2, true)", [role, JSON.stringify({ role, ...claims })]);
    const { rows } = await client.query(text, parameters);
    await client.query("commit");
    return rows;
  } catch (error) {
    await client.query("rollback");
    throw error;
  } finally {
    client.release();
  }
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
