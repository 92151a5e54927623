/** What a user's SELECT may use. */

/** What may be read besides the views, which mask: the runs, and the JSON table functions. */
export const READABLE: ReadonlySet<string> = new Set(["etl_runs", "json_each", "json_tree"]);

/** Functions that read and write nothing but their arguments. */
export const FUNCTIONS: ReadonlySet<string> = new Set(
  `
  abs char coalesce concat concat_ws format glob hex if ifnull iif instr length like likelihood likely lower ltrim max min nullif
  octet_length printf quote random replace round rtrim sign substr substring trim typeof unhex unicode unlikely upper zeroblob
  randomblob
  avg count group_concat string_agg sum total median percentile percentile_cont percentile_disc
  date time datetime julianday strftime unixepoch timediff current_date current_time current_timestamp
  acos acosh asin asinh atan atan2 atanh ceil ceiling cos cosh degrees exp floor ln log log10 log2 mod pi pow power radians sin sinh
  sqrt tan tanh trunc
  cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number
  json json_array json_array_length json_error_position json_extract json_insert json_object json_patch json_pretty json_quote
  json_remove json_replace json_set json_type json_valid json_group_array json_group_object -> ->>
  `.trim().split(/\s+/),
);
