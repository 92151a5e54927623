/**
 * One Lua script for each atomic step in the Redis server. Needs Redis 7.
 *
 * Keys of the mailbox `N`:
 *
 * | key | type | holds | |---|---|---| | `N` | stream | messages (`id`, `body`), read by the consumer group `etl`; other groups may read it too | |
 * `N:ids` | sorted set | ids that are known, scored by when they were settled (`+inf`: not yet) | | `N:due` | sorted set | entries handed out or
 * handed back, scored by when they may be handed out again: end of the lease or the delay | | `N:held` | hash | entry -> token of the claim that
 * holds it | | `N:dead` | stream | dead letters (`id`, `body`, `reason`, `attempts`) | | `N:dead:ids` | hash | id -> entry of `N:dead` | | `N:paused`
 * | string | there while claims are held back | | `N:served` | hash | pipeline -> its last turn, counted in the field `#` |
 *
 * Attempts are the delivery counter of the group's pending list. Pub/Sub: each published body goes out on the channel `N`; `N:wake` wakes consumers
 * for any other reason.
 */
import { createHash } from "node:crypto";
import { REMEMBER_MS } from "./channel.ts";

/** An id further ahead of the server's clock than this doesn't show its entry's age, in milliseconds: a day. */
const FAR_AHEAD_MS = 24 * 3_600_000;
/** Settled entries kept in a stream whose ids don't show their age. */
const KEPT_OF_UNKNOWN_AGE = 1_000;

/** A script and its digest, by which the server finds it. */
export interface Script {
  readonly source: string;
  /** SHA-1 of the source, in hexadecimal. */
  readonly sha: string;
}

const SHARED = `
local GROUP, CONSUMER = 'etl', 'etl'

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function pairsOf(flat)
  local map = {}
  for i = 1, #flat, 2 do map[flat[i]] = flat[i + 1] end
  return map
end

local function wake(name) redis.call('PUBLISH', name .. ':wake', '') end

local function known(name, id) return redis.call('ZSCORE', name .. ':ids', id) end

local function append(name, id, body)
  redis.call('XADD', name, '*', 'id', id, 'body', body)
  redis.call('ZADD', name .. ':ids', '+inf', id)
end

-- Messages: KEYS from firstKey on, and (id, body, the id under which a subscriber sees the body) in ARGV from firstArg on.
-- All keys are touched before the first write, so that one of the wrong type stops the script while nothing has happened.
local function publish(firstKey, firstArg)
  for k = firstKey, #KEYS do
    redis.call('XLEN', KEYS[k])
    redis.call('ZCARD', KEYS[k] .. ':ids')
  end
  for k = firstKey, #KEYS do
    local name, at = KEYS[k], firstArg + (k - firstKey) * 3
    local id, body, seenAs = ARGV[at], ARGV[at + 1], ARGV[at + 2]
    if not known(name, id) then
      append(name, id, body)
      if seenAs ~= id then redis.call('ZADD', name .. ':ids', now(), seenAs) end
      redis.call('PUBLISH', name, body)
    end
  end
end

-- Messages that wait, are delayed or are held, and the first entry that the group hasn't read.
local function depthOf(name)
  local depth, unread = redis.call('XLEN', name), '-'
  for _, flat in ipairs(depth > 0 and redis.call('XINFO', 'GROUPS', name) or {}) do
    local group = pairsOf(flat)
    if group.name == GROUP then
      unread = '(' .. group['last-delivered-id']
      -- The server loses count when somebody deletes entries by hand.
      depth = group.pending + (group.lag or #redis.call('XRANGE', name, unread, '+'))
    end
  end
  return depth, unread
end

local function release(name, entry)
  redis.call('ZREM', name .. ':due', entry)
  redis.call('HDEL', name .. ':held', entry)
end
`;

/** A script that may use the functions above. */
export function script(source: string): Script {
  const whole = SHARED + source;
  return { source: whole, sha: createHash("sha1").update(whole).digest("hex") };
}

/** KEYS: mailbox of each message. ARGV: `id, body, seenAs` of each. */
export const PUBLISH: Script = script(`
publish(1, 1)
`);

/**
 * Like `PUBLISH`, if no open message of the first mailbox contains a text, or all messages are known. KEYS: that mailbox, then those of the messages.
 * ARGV: the text, then as `PUBLISH`. Returns 1 if published.
 */
export const PUBLISH_IF_IDLE: Script = script(`
local function contains(entries)
  for _, entry in ipairs(entries) do
    if string.find(pairsOf(entry[2]).body, ARGV[1], 1, true) then return true end
  end
  return false
end
local function isBusy(name)
  local depth, unread = depthOf(name)
  if depth == 0 or ARGV[1] == '' then return depth > 0 end
  if contains(redis.call('XRANGE', name, unread, '+')) then return true end
  if unread == '-' then return false end
  for _, held in ipairs(redis.call('XPENDING', name, GROUP, '-', '+', depth)) do
    if contains(redis.call('XRANGE', name, held[1], held[1])) then return true end
  end
  return false
end
local all = true
for k = 2, #KEYS do all = all and known(KEYS[k], ARGV[(k - 2) * 3 + 2]) end
if not all and isBusy(KEYS[1]) then return 0 end
publish(2, 2)
return 1
`);

/** Appends a foreign message. KEYS: mailbox. ARGV: `id, body`. Returns 1 if it was new. */
export const ADOPT: Script = script(`
if known(KEYS[1], ARGV[1]) then return 0 end
append(KEYS[1], ARGV[1], ARGV[2])
wake(KEYS[1])
return 1
`);

/** KEYS: mailbox. ARGV: `id`. Returns 1 if the mailbox knows it. */
export const KNOWS: Script = script(`
return known(KEYS[1], ARGV[1]) and 1 or 0
`);

/**
 * Hands out the next message, in turn between pipelines: one whose lease or delay is over, otherwise the next new one. KEYS: mailbox. ARGV: `leaseMs,
 * token`, then 1 if an earlier call with this token got no reply: then the same message is handed out again, without counting an attempt. Returns
 * `[entry, id, body, attempt]`, or `[ms]` until a message may be due (-1: none will be).
 */
export const CLAIM: Script = script(`
local LOOK = 100 -- how far it looks for another pipeline's message
local name, lease, token = KEYS[1], tonumber(ARGV[1]), ARGV[2]
local time = now()

local function hand(entry)
  local fields = pairsOf(entry[2])
  local attempt = redis.call('XPENDING', name, GROUP, entry[1], entry[1], 1)[1][4]
  redis.call('ZADD', name .. ':due', time + lease, entry[1])
  redis.call('HSET', name .. ':held', entry[1], token)
  return { entry[1], fields.id or entry[1], fields.body or '', attempt }
end

if ARGV[3] == '1' then
  local held = redis.call('HGETALL', name .. ':held')
  for i = 2, #held, 2 do
    local entry = held[i] == token and redis.call('XRANGE', name, held[i - 1], held[i - 1])[1]
    if entry then return hand(entry) end
  end
end
if redis.call('EXISTS', name .. ':paused') == 1 then return { -1 } end

-- The first of the pipeline whose turn was longest ago: of the due ones, then of the unread.
local best
local function consider(entry, unread)
  local pipeline = string.match(pairsOf(entry[2]).body or '', '"pipeline":"([a-z0-9_]+)"') or ''
  local turn = tonumber(redis.call('HGET', name .. ':served', pipeline) or 0)
  if not best or turn < best.turn then best = { entry = entry, pipeline = pipeline, turn = turn, unread = unread } end
end
for _, due in ipairs(redis.call('ZRANGE', name .. ':due', '-inf', time, 'BYSCORE', 'LIMIT', 0, LOOK)) do
  local entry = redis.call('XRANGE', name, due, due)[1]
  if entry then consider(entry)
  else -- somebody deleted it, or the whole stream; a claim takes it off the group's list too
    redis.pcall('XCLAIM', name, GROUP, CONSUMER, 0, due)
    release(name, due)
  end
end
local _, unread = depthOf(name)
for i, entry in ipairs(redis.call('XRANGE', name, unread, '+', 'COUNT', LOOK)) do consider(entry, i) end

if best then
  local entry = best.entry
  if best.unread then
    -- The group reads in order: those that are passed over are due at once, without an attempt.
    if unread == '-' then redis.call('XGROUP', 'CREATE', name, GROUP, '0') end
    local streams = redis.call('XREADGROUP', 'GROUP', GROUP, CONSUMER, 'COUNT', best.unread, 'STREAMS', name, '>')
    for i = 1, best.unread - 1 do
      local passed = streams[1][2][i][1]
      local ms, seq = string.match(passed, '(%d+)-(%d+)')
      redis.call('XCLAIM', name, GROUP, CONSUMER, 0, passed, 'RETRYCOUNT', 0, 'JUSTID')
      redis.call('ZADD', name .. ':due', string.format('%.3f', math.min(time, ms + math.min(seq, 999) / 1000)), passed)
    end
  else
    local claimed = redis.pcall('XCLAIM', name, GROUP, CONSUMER, 0, entry[1])[1]
    if not claimed then -- the group was deleted, or somebody acknowledged it
      release(name, entry[1])
      return { 0 }
    end
  end
  redis.call('HSET', name .. ':served', best.pipeline, redis.call('HINCRBY', name .. ':served', '#', 1))
  return hand(entry)
end

local first = redis.call('ZRANGE', name .. ':due', 0, 0, 'WITHSCORES')
return { first[2] and math.max(0, tonumber(first[2]) - time) or -1 }
`);

/**
 * Fails on a server that refuses writes. KEYS: a name. Returns its `redis_version`, its `maxmemory-policy`, and 1 if `appendonly` is on, else 0, each
 * empty if it can't be read; then its clock in milliseconds.
 */
export const PING: Script = script(`
redis.call('ZREM', KEYS[1] .. ':ids', '')
local function read(section, pattern)
  local info = redis.pcall('INFO', section)
  return type(info) == 'string' and string.match(info, pattern) or ''
end
return {
  read('server', 'redis_version:([%w.]+)'),
  read('memory', 'maxmemory_policy:([%w-]+)'),
  read('persistence', 'aof_enabled:(%d)'),
  now(),
}
`);

/** Renews a lease. KEYS: mailbox. ARGV: `entry, token, leaseMs`. Returns 0 if the claim no longer holds the entry. */
export const EXTEND: Script = script(`
if redis.call('HGET', KEYS[1] .. ':held', ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('ZADD', KEYS[1] .. ':due', now() + ARGV[3], ARGV[1])
return 1
`);

/**
 * Settles a claim and publishes its outputs. KEYS: mailbox, then the mailbox of each output. ARGV: `entry, token, verb, a, b`, then the outputs as in
 * `PUBLISH`. Verbs: `complete` (a: id, b: milliseconds that settled entries stay in the stream), `retry` (a: delay in milliseconds, b: 1 to not count
 * the attempt), `bury` (a: id, b: reason). Returns 0, and does nothing, if the claim no longer holds the entry.
 */
export const SETTLE: Script = script(`
local name, entry, verb, a, b = KEYS[1], ARGV[1], ARGV[3], ARGV[4], ARGV[5]
if redis.call('HGET', name .. ':held', entry) ~= ARGV[2] then return 0 end
publish(2, 6)

local function attempts()
  local pending = redis.call('XPENDING', name, GROUP, entry, entry, 1)[1]
  return pending and pending[4] or 0
end

local function before(x, y)
  local xMs, xSeq = string.match(x, '(%d+)-(%d+)')
  local yMs, ySeq = string.match(y, '(%d+)-(%d+)')
  if xMs == yMs then xMs, yMs = xSeq, ySeq end
  -- As texts, since Lua's numbers don't tell large ones apart.
  if #xMs ~= #yMs then return #xMs < #yMs end
  return xMs < yMs
end

-- Where entries begin that stay, needed or not. After a foreign entry, or a clock, that was far ahead, the server counts on from there:
-- ids then say nothing of age, and so many entries stay.
local function keptFrom(keepMs)
  if tonumber(string.match(entry, '%d+')) < now() + ${FAR_AHEAD_MS} then
    return string.format('%.0f-0', math.max(0, now() - keepMs))
  end
  local newest = redis.call('XREVRANGE', name, '+', '-', 'COUNT', ${KEPT_OF_UNKNOWN_AGE})
  return newest[#newest] and newest[#newest][1] or '0-0'
end

-- Cuts off entries that are old enough, but none that any group has yet to read or to acknowledge.
local function trim(keepMs)
  local limit = keptFrom(keepMs)
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', name)) do
    local group = pairsOf(flat)
    local needed = group['last-delivered-id']
    if group.pending > 0 then needed = redis.call('XPENDING', name, group.name)[2] end
    if before(needed, limit) then limit = needed end
  end
  redis.call('XTRIM', name, 'MINID', limit)
end

if verb == 'retry' then
  if b == '1' then
    redis.call('XCLAIM', name, GROUP, CONSUMER, 0, entry, 'RETRYCOUNT', math.max(0, attempts() - 1), 'JUSTID')
  end
  redis.call('HDEL', name .. ':held', entry)
  redis.call('ZADD', name .. ':due', now() + a, entry)
  wake(name)
  return 1
end

if verb == 'bury' then
  local found = redis.call('XRANGE', name, entry, entry)[1]
  local body = found and pairsOf(found[2]).body or ''
  local letter = redis.call('XADD', name .. ':dead', '*', 'id', a, 'body', body, 'reason', b, 'attempts', attempts())
  redis.call('HSET', name .. ':dead:ids', a, letter)
end
redis.call('XACK', name, GROUP, entry)
release(name, entry)
if verb == 'complete' then
  redis.call('ZADD', name .. ':ids', now(), a)
  redis.call('ZREMRANGEBYSCORE', name .. ':ids', '-inf', now() - ${REMEMBER_MS})
  trim(tonumber(b))
end
return 1
`);

/** KEYS: mailbox. Returns `[depth, age of the oldest message in milliseconds (-1: none), 1 if paused, dead letters]`. */
export const STATE: Script = script(`
local name = KEYS[1]
local depth, unread = depthOf(name)
local oldest
local function consider(entry)
  if not entry then return end
  local ms = tonumber(string.match(entry, '%d+'))
  if not oldest or ms < oldest then oldest = ms end
end

local pending = redis.pcall('XPENDING', name, GROUP)
if not pending.err and pending[1] > 0 then consider(pending[2]) end
local first = redis.call('XRANGE', name, unread, '+', 'COUNT', 1)[1]
consider(first and first[1])
return {
  depth,
  oldest and math.max(0, now() - oldest) or -1,
  redis.call('EXISTS', name .. ':paused'),
  redis.call('XLEN', name .. ':dead'),
}
`);

/** Reads the messages after a cursor. KEYS: mailbox. ARGV: `cursor` (empty: the end), limit. Returns `[cursor, body, body, …]`. */
export const READ_ON: Script = script(`
local name, cursor = KEYS[1], ARGV[1]
if cursor == '' then
  local last = redis.call('XREVRANGE', name, '+', '-', 'COUNT', 1)[1]
  return { last and last[1] or '0-0' }
end
local page = { cursor }
for i, entry in ipairs(redis.call('XRANGE', name, '(' .. cursor, '+', 'COUNT', ARGV[2])) do
  page[1] = entry[1]
  page[i + 1] = pairsOf(entry[2]).body or ''
end
return page
`);

export const PAUSE: Script = script(`
redis.call('SET', KEYS[1] .. ':paused', '1')
`);

export const RESUME: Script = script(`
redis.call('DEL', KEYS[1] .. ':paused')
wake(KEYS[1])
`);

/** KEYS: mailbox. ARGV: `limit, after` (empty: from the newest on). Returns `[id, body, reason, attempts, entry]` of each dead letter. */
export const DEAD: Script = script(`
local name, to = KEYS[1], '+'
if ARGV[2] ~= '' then
  local entry = redis.call('HGET', name .. ':dead:ids', ARGV[2])
  if not entry then return {} end
  to = '(' .. entry
end
local letters = {}
for i, entry in ipairs(redis.call('XREVRANGE', name .. ':dead', to, '-', 'COUNT', ARGV[1])) do
  local fields = pairsOf(entry[2])
  letters[i] = { fields.id or entry[1], fields.body or '', fields.reason or '', fields.attempts or '0', entry[1] }
end
return letters
`);

/** Removes a dead letter. KEYS: mailbox. ARGV: `id`, then 1 to put it back into the mailbox. Returns 0 if none has this id. */
export const UNBURY: Script = script(`
local name, id = KEYS[1], ARGV[1]
local entry = redis.call('HGET', name .. ':dead:ids', id)
if not entry then return 0 end
local found = redis.call('XRANGE', name .. ':dead', entry, entry)[1]
redis.call('HDEL', name .. ':dead:ids', id)
redis.call('XDEL', name .. ':dead', entry)
if not found then return 0 end
if ARGV[2] == '1' then
  append(name, id, pairsOf(found[2]).body)
  wake(name)
else
  redis.call('ZADD', name .. ':ids', now(), id)
end
return 1
`);
