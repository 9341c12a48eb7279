#!/usr/bin/env bash
# Checks the chart without a cluster: lint, what it renders, and what it refuses.
#
#   check.sh            compare with golden/
#   check.sh --update   write golden/ and dapr/known-values.txt anew
#
# golden/default.yaml is what the chart renders as it is. Beside each golden/<name>.values.yaml stands <name>.diff: what
# those values change of it. Helm is $HELM, else the one that e2e/tools.sh builds, else the one on the PATH.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
chart=$here/dapr
golden=$here/golden

die() {
	printf 'charts: %s\n' "$*" >&2
	exit 1
}

update=no
case ${1:-} in
'') ;;
--update) update=yes ;;
*) die "unknown argument '$1': none, or --update" ;;
esac

find_helm() {
	local built
	built=$("$here/../e2e/tools.sh" --print-dir 2>/dev/null)/helm || built=
	if [[ -n ${HELM:-} ]]; then
		printf '%s\n' "$HELM"
	elif [[ -x $built ]]; then
		printf '%s\n' "$built"
	else
		command -v helm || die "helm is missing: run e2e/tools.sh, or set HELM"
	fi
}

helm=$(find_helm)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# Helm shows NOTES.txt only after a real installation. In a copy of the chart it is rendered as one more object.
cp -r "$chart" "$work/chart"
mv "$work/chart/templates/NOTES.txt" "$work/chart/notes.txt"
printf 'kind: Notes\ntext: |\n{{ tpl (.Files.Get "notes.txt") . | indent 2 }}\n' >"$work/chart/templates/notes.yaml"

# What would be installed, and what the user is told.
render() {
	"$helm" template dapr "$work/chart" --namespace dapr-system "$@" | sed -e 's/[[:space:]]*$//' -e '/^$/d'
}

# $1: a rendered file; $2: its golden file.
compare() {
	if [[ $update == yes ]]; then
		cp "$1" "$2"
	elif ! diff -u "$2" "$1" >&2; then
		printf 'charts: %s differs: look, then run charts/check.sh --update\n' "$(basename "$2")" >&2
		failures=$((failures + 1))
	fi
}

# $1: what the error has to say; the rest: values that cannot be right.
refuse() {
	local expected=$1 output
	shift
	if output=$(render "$@" 2>&1) || [[ $output != *"$expected"* ]]; then
		printf 'charts: %s should be refused with "%s", but: %s\n' "$*" "$expected" "${output:0:300}" >&2
		failures=$((failures + 1))
	fi
}

"$helm" lint --quiet --strict "$chart"
[[ $(sed -n 's/^appVersion: "\(.*\)"/\1/p' "$chart/Chart.yaml") == $(sed -n 's/^  tag: "\(.*\)"/\1/p' "$chart/values.yaml") ]] ||
	die "global.tag is not the chart's appVersion"

# The schema names every value that there is, and no other ones.
schema=$chart/values.schema.json
from_schema() {
	jq -r -f "$here/schema.jq" --arg what "$1" "$schema" | LC_ALL=C sort
}
command -v jq >/dev/null || die "jq is missing: run e2e/packages.sh"
from_schema known >"$work/known-values.txt"
compare "$work/known-values.txt" "$chart/known-values.txt"
cp "$work/known-values.txt" "$work/chart/"
[[ -z $(from_schema untyped) ]] || die "values.schema.json says no type of: $(from_schema untyped)"
cp -r "$chart" "$work/closed"
jq -f "$here/schema.jq" --arg what closed "$schema" >"$work/closed/values.schema.json"
"$helm" template "$work/closed" >/dev/null || die "values.schema.json lacks what values.yaml has"
while read -r path; do
	file=$chart/values.yaml
	[[ $path != dapr_*.* ]] || file=$chart/charts/${path%%.*}/values.yaml
	key=${path%.}
	[[ $path == dapr_*. ]] || grep -qw -- "${key##*.}" "$file" || die "values.schema.json has $path, and ${file#"$here/"} does not"
done < <(from_schema named)

# Alerts and dashboards ask for metrics that there are.
command -v promtool >/dev/null || die "promtool is missing: run e2e/packages.sh"
promtool check rules "$chart/monitoring/alerts.yaml" >"$work/promtool" 2>&1 || die "$(cat "$work/promtool")"
for board in "$chart"/monitoring/*.json; do
	jq -e '.uid and (.panels | length > 0)' "$board" >/dev/null || die "$board is no dashboard"
done
while read -r metric; do
	grep -qF "\`$metric\`" "$here/../docs/reference/metrics.md" || # sidecars
		grep -rqF --include='*.rs' "\"$metric\"" "$here"/../{injector,operator,placement,sentry}/src ||
		[[ $metric == dapr_sentry_*cert_expires_in_seconds ]] ||
		die "charts/dapr/monitoring asks for $metric, and nothing has a metric of that name"
done < <(grep -ohE '\bdapr_[a-z_]+' "$chart"/monitoring/* | sed -E 's/_(bucket|sum)$//' | sort -u)

render >"$work/default.yaml"
compare "$work/default.yaml" "$golden/default.yaml"
for values in "$golden"/*.values.yaml; do
	name=$(basename "$values" .values.yaml)
	render --values "$values" >"$work/$name.yaml"
	# Without line numbers: they change whenever anything above does.
	{ diff -U1 --label default --label "$name" "$work/default.yaml" "$work/$name.yaml" || [[ $? == 1 ]]; } |
		sed 's/^@@ .*/@@/' >"$work/$name.diff"
	compare "$work/$name.diff" "$golden/$name.diff"
done

injector=dapr_sidecar_injector
refuse "sidecarRunAsUser must be 0" --set "$injector.sidecarRunAsNonRoot=false,$injector.sidecarRunAsUser=1000"
refuse "sidecarRunAsUser must be positive" --set "$injector.sidecarRunAsUser=0"
refuse "podAntiAffinityPolicy must be either" --set global.ha.enabled=true,global.ha.podAntiAffinityPolicy=never
refuse "podsWithoutSidecar must be off, warn or repair" --set "$injector.podsWithoutSidecar=delete"
refuse "repairsPerMinute must be at least 1" --set "$injector.repairsPerMinute=0"
refuse "externalCA.source must be" --set global.externalCA.source=vault
refuse "certManager.issuer is required" --set global.externalCA.source=cert-manager
refuse "signerName is required" --set global.externalCA.source=certificate-signing-request
refuse "roots.configMap is required" --set global.externalCA.source=certificate-signing-request,global.externalCA.signerName=example.com/ca
refuse "validation must be off, warn or strict" --set dapr_operator.validation=maybe
refuse "at '/dapr_operator/definitions'" --set dapr_operator.definitions=replace
refuse "at '/dapr_operator/livenessProbe/periodSeconds': 'soon'" --set dapr_operator.livenessProbe.periodSeconds=soon
refuse "at '/global/ha/enabled': got string, want boolean" --set-string global.ha.enabled=false
refuse "dapr_operator.replicas (do you mean dapr_operator.replicaCount?)" --set global.strictValues=true,dapr_operator.replicas=3
refuse "dapr_sentri (do you mean dapr_sentry?)" --set global.strictValues=true,dapr_sentri.replicaCount=3
refuse "global.ha.replica (do you mean" --set global.strictValues=true,global.ha.replica=3
refuse "address.elsewhere" --set global.actors.serviceName=elsewhere

((failures == 0)) || die "$failures of the checks failed"
printf 'charts: ok\n'
