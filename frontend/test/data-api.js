// A stand-in of Supabase's Data API, which is PostgREST: it runs each request on PostgreSQL
// under the role of its key or token. It knows what supabase-js sends for rpc, select, insert, update
// and delete with simple filters; what it does not know it refuses aloud. It embeds no other tables.
import { escapeIdentifier } from "pg";

const operators = { eq: "=", neq: "<>", gt: ">", gte: ">=", lt: "<", lte: "<=", like: "like", ilike: "ilike" };
const notColumns = new Set(["select", "order", "limit", "offset", "columns", "on_conflict"]);

/** Returns { status, body } for a request to /rest/v1. database is one of postgres.js; the body of the request is parsed. */
export async function dataApi(database, { method, path, query, headers, body, role, claims }) {
  const run = (text, parameters) => database.as(role, claims, text, parameters);
  try {
    const [, procedure] = /^\/rpc\/(\w+)$/.exec(path) ?? [];
    if (procedure) return await call(database, run, procedure, body ?? {});
    const [, table] = /^\/(\w+)$/.exec(path) ?? [];
    if (!table) return refusal(404, "PGRST125", "Invalid path specified in request URL");
    const rows = await run(...statement(method, table, query, headers, body));
    return shown(rows, method, headers);
  } catch (error) {
    if (error.status) return refusal(error.status, error.code, error.message);
    if (!error.code) throw error;
    return { status: statusOf(error.code, role), body: { code: error.code, message: error.message, details: error.detail ?? null, hint: error.hint ?? null } };
  }
}

const refusal = (status, code, message) => ({ status, body: { code, message, details: null, hint: null } });

function unknown(what) {
  return Object.assign(new Error(`this stand-in does not know ${what}`), { status: 400, code: "PGRST100" });
}

// call runs a function. PostgREST finds it by the names of its arguments, in what it knows of the schema.
async function call(database, run, name, args) {
  const found = await database.sql(`select p.proargnames, array(select format_type(t, null) from unnest(p.proargtypes) t) as types, p.prorettype::regtype::text as returns
    from pg_proc p where p.pronamespace = 'public'::regnamespace and p.proname = $1`, [name]);
  const names = Object.keys(args);
  const match = found.find(({ types, proargnames }) => types.length === names.length && names.every((n) => proargnames?.slice(0, types.length).includes(n)));
  if (!match) return refusal(404, "PGRST202", `Could not find the function public.${name}(${names.join(", ")}) in the schema cache`);
  const given = names.map((name) => {
    const type = match.types[match.proargnames.indexOf(name)];
    const value = /^jsonb?$/.test(type) ? `nullif($1::jsonb -> '${name}', 'null')` : `$1::jsonb ->> '${name}'`;
    return `${escapeIdentifier(name)} => (${value})::${type}`;
  });
  const [{ result }] = await run(`select to_jsonb(public.${escapeIdentifier(name)}(${given})) as result`, names.length ? [JSON.stringify(args)] : []);
  return match.returns === "void" ? { status: 204 } : { status: 200, body: result };
}

// statement returns the SQL of a request and its parameters.
function statement(method, table, query, headers, body) {
  const parameters = [];
  const value = (v) => `$${parameters.push(v !== null && typeof v === "object" ? JSON.stringify(v) : v)}`;
  const name = `public.${escapeIdentifier(table)}`;
  const columns = columnList(query.get("select"));
  const returning = headers.prefer?.includes("return=representation") ? ` returning ${columns}` : "";
  const where = conditions(query, value);
  switch (method) {
    case "GET":
      return [`select ${columns} from ${name}${where}${order(query.get("order"))}${window(query, value)}`, parameters];
    case "PATCH":
      return [`update ${name} set ${Object.entries(body).map(([column, v]) => `${escapeIdentifier(column)} = ${value(v)}`)}${where}${returning}`, parameters];
    case "DELETE":
      return [`delete from ${name}${where}${returning}`, parameters];
    case "POST": {
      if (headers.prefer?.includes("resolution=")) throw unknown("upserts");
      const rows = [body].flat(), fields = Object.keys(rows[0]);
      return [`insert into ${name} (${fields.map(escapeIdentifier)}) values ${rows.map((row) => `(${fields.map((field) => value(row[field] ?? null))})`)}${returning}`, parameters];
    }
    default:
      throw unknown(method);
  }
}

function columnList(select) {
  if (!select || select === "*") return "*";
  return select.split(",").map((column) => {
    if (!/^\w+$/.test(column)) throw unknown(`select=${column}`);
    return escapeIdentifier(column);
  }).join(", ");
}

function conditions(query, value) {
  const all = [...query].filter(([column]) => !notColumns.has(column)).map(([column, text]) => {
    const [, not, operator, operand] = /^(not\.)?(\w+)\.([^]*)$/.exec(text) ?? [];
    const left = escapeIdentifier(column);
    let condition;
    if (column === "or" || column === "and") throw unknown(column);
    else if (operators[operator]) condition = `${left} ${operators[operator]} ${value(operand)}`;
    else if (operator === "is" && /^(null|true|false)$/.test(operand)) condition = `${left} is ${operand}`;
    else if (operator === "in") condition = `${left} in (${[...operand.slice(1, -1).matchAll(/"((?:[^"\\]|\\.)*)"|([^,]+)/g)].map(([, quoted, plain]) => value(quoted?.replace(/\\(.)/g, "$1") ?? plain)).join(", ") || "null"})`;
    else throw unknown(`the filter ${column}=${text}`);
    return not ? `not (${condition})` : condition;
  });
  return all.length ? ` where ${all.join(" and ")}` : "";
}

function order(text) {
  if (!text) return "";
  return ` order by ${text.split(",").map((part) => {
    const [column, ...words] = part.split(".");
    const direction = { asc: " asc", desc: " desc", nullsfirst: " nulls first", nullslast: " nulls last" };
    return escapeIdentifier(column) + words.map((word) => direction[word] ?? "").join("");
  }).join(", ")}`;
}

function window(query, value) {
  return (query.has("limit") ? ` limit ${value(query.get("limit"))}` : "") + (query.has("offset") ? ` offset ${value(query.get("offset"))}` : "");
}

// shown returns the answer to a statement: one object where supabase-js was asked for a single().
function shown(rows, method, headers) {
  const written = { POST: 201, PATCH: 204, DELETE: 204 }[method];
  if (written && !headers.prefer?.includes("return=representation")) return { status: written };
  if (headers.accept?.includes("vnd.pgrst.object")) {
    if (rows.length !== 1) return refusal(406, "PGRST116", "Cannot coerce the result to a single JSON object");
    return { status: written === 201 ? 201 : 200, body: rows[0] };
  }
  return { status: written === 201 ? 201 : 200, body: rows };
}

// statusOf follows PostgREST's table of SQLSTATEs.
function statusOf(code, role) {
  if (code === "42501") return role === "anon" ? 401 : 403;
  if (code === "23503" || code === "23505") return 409;
  if (code === "42P01" || code === "42883") return 404;
  if (/^(08|53)/.test(code)) return 503;
  if (/^(09|25|2D|38|39|3B|40|54|55|57|58|XX)/.test(code)) return 500;
  return 400;
}
