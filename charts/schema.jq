# What charts/check.sh takes from the schema of the chart's values.
#
#   jq -r -f schema.jq --arg what known     every key, one a line; those that hold further keys end in a dot
#   jq    -f schema.jq --arg what closed    the schema, where each object takes only the keys that it names
#   jq -r -f schema.jq --arg what named     as known, without what stands in a definition that several keys share
#   jq -r -f schema.jq --arg what untyped   keys that would take anything

. as $schema
| def resolved: if has("$ref") then $schema.definitions[."$ref" | split("/") | last] else . end;
def under(prefix; follow):
  follow | select(.type == "object" and has("properties")).properties | to_entries[]
  | (prefix + .key) as $path
  | (.value | follow) as $value
  | if $value.type == "object" and ($value | has("properties"))
    then $path + ".", ($value | under($path + "."; follow))
    else $path
    end;
# Helm lays a copy of the global values beside each sub-chart's own.
def closed:
  .properties |= with_entries(if .key | startswith("dapr_") then .value.properties.global = {} else . end)
  | walk(if type == "object" and .type == "object" and has("properties") then .additionalProperties = false else . end)
  | .additionalProperties = false;
if $what == "known" then under(""; resolved)
elif $what == "named" then under(""; .)
elif $what == "closed" then closed
elif $what == "untyped" then
  paths(objects) as $path
  | select($path[-2] == "properties" or $path[-1] == "items" or ($path | length == 2 and .[0] == "definitions"))
  | select(getpath($path) | has("type") or has("enum") or has("$ref") or has("oneOf") | not)
  | $path | join(".")
else error("--arg what: known, named, closed or untyped") end
