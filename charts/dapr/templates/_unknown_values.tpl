{{/*
Values that the chart does not know, one a line, each with the known one that is written most like it. Keys directly under
`global` belong to whoever reads them. known-values.txt is written by charts/check.sh from the schema.
*/}}
{{- define "dapr.unknownValues" -}}
{{- $known := .Files.Get "known-values.txt" | trim | splitList "\n" }}
{{- range $section := prepend $known "" }}
{{- if and (or (not $section) (hasSuffix "." $section)) (ne $section "global.") }}
{{- $values := $.Values }}
{{- range $part := splitList "." $section }}
{{- if and $part (kindIs "map" $values) }}{{ $values = get $values $part }}{{ end }}
{{- end }}
{{- if kindIs "map" $values }}
{{- range $key := keys $values | sortAlpha }}
{{- $path := print $section $key }}
{{- if not (or (has $path $known) (has (print $path ".") $known) (include "dapr.helmsOwnValue" $path)) }}
- {{ $path }}{{ include "dapr.nearestValue" (dict "known" $known "section" $section "key" $key) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
Not empty for what Helm, or this chart, lays beside the user's values: the global ones in each sub-chart, the scheduler's
image, and the switches of other charts' dependencies.
*/}}
{{- define "dapr.helmsOwnValue" -}}
{{- if or (hasSuffix "schedulerImage" .) (has . (list "tags" "exports")) (regexMatch "^dapr_[a-z_]+\\.global$" .) }}yes{{ end -}}
{{- end -}}

{{/*
", not <path>?" for the known value whose name is nearest: of the same section, or of one below it. Takes dict "known",
"section" and "key".
*/}}
{{- define "dapr.nearestValue" -}}
{{- $best := "" }}
{{- $most := 45 }}
{{- $chart := splitList "." .section | first }}
{{- range $path := .known }}
{{- $path = trimSuffix "." $path }}
{{- $name := splitList "." $path | last }}
{{- if or (eq $path $name) (hasPrefix (print $chart ".") $path) }}
{{- $score := include "dapr.likeness" (dict "one" $.key "other" $name) | int }}
{{- if eq $path (print $.section $name) }}{{ $score = add $score 10 | int }}{{ end }}
{{- if gt $score $most }}{{ $most = $score }}{{ $best = $path }}{{ end }}
{{- end }}
{{- end }}
{{- with $best }} (do you mean {{ . }}?){{ end }}
{{- end -}}

{{/*
How like each other two words are, 0 to 100: the share of letters and of pairs of letters that they have in common. Takes dict
"one" and "other".
*/}}
{{- define "dapr.likeness" -}}
{{- $shared := 0 }}
{{- $all := 0 }}
{{- range $size := list 1 2 }}
{{- $left := list }}
{{- range $at := until (sub (len $.other) (sub $size 1) | int) }}
{{- $left = append $left (substr $at (add $at $size | int) (lower $.other)) }}
{{- end }}
{{- $all = add $all (len $left) }}
{{- range $at := until (sub (len $.one) (sub $size 1) | int) }}
{{- $piece := substr $at (add $at $size | int) (lower $.one) }}
{{- $all = add $all 1 }}
{{- $rest := list }}
{{- $found := false }}
{{- range $other := $left }}
{{- if and (eq $other $piece) (not $found) }}{{ $found = true }}{{ else }}{{ $rest = append $rest $other }}{{ end }}
{{- end }}
{{- if $found }}{{ $shared = add $shared 1 }}{{ end }}
{{- $left = $rest }}
{{- end }}
{{- end }}
{{- div (mul 200 $shared) (max 1 $all) -}}
{{- end -}}
