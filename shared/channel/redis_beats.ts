import { BEAT_TTL_MS } from "./channel.ts";
import { type Script, script } from "./redis_scripts.ts";

const FORGET_OLD_BEATS = `
local function forgetOld()
  local old = redis.call('ZRANGE', KEYS[2], '-inf', now() - ${BEAT_TTL_MS}, 'BYSCORE')
  for _, instance in ipairs(old) do
    redis.call('HDEL', KEYS[1], instance)
    redis.call('ZREM', KEYS[2], instance)
  end
end
`;

/** The keys of the beats: a hash of instance -> JSON, and a sorted set of instances by time. */
export const BEAT_KEYS: readonly [string, string] = ["actors:beats", "actors:beats:at"];

/** KEYS: `BEAT_KEYS`. ARGV: `instance, at, JSON`. */
export const BEAT: Script = script(`${FORGET_OLD_BEATS}
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
forgetOld()
`);

/** KEYS: `BEAT_KEYS`. Returns the JSON of each beat. */
export const BEATS: Script = script(`${FORGET_OLD_BEATS}
forgetOld()
return redis.call('HVALS', KEYS[1])
`);
