{{/*
Which namespaces are offered to the injector. Kubernetes' own and the control plane's are not, so that nothing that the
injector needs waits for it; a user's selector that says something of namespaces' names is taken as it is. A control plane
that is confined to its namespace finds its applications there.
*/}}
{{- define "dapr_sidecar_injector.namespaceSelector" -}}
{{- $name := "kubernetes.io/metadata.name" -}}
{{- $selector := deepCopy (.Values.namespaceSelector | default dict) -}}
{{- $named := hasKey ($selector.matchLabels | default dict) $name -}}
{{- range $selector.matchExpressions -}}
{{- $named = or $named (eq .key $name) -}}
{{- end -}}
{{- if and .Values.excludeSystemNamespaces (not $named) -}}
{{- $namespaces := list "kube-system" -}}
{{- if not .Values.global.rbac.namespaced -}}
{{- $namespaces = append $namespaces .Release.Namespace -}}
{{- end -}}
{{- $others := dict "key" $name "operator" "NotIn" "values" (uniq $namespaces) -}}
{{- $_ := set $selector "matchExpressions" (append ($selector.matchExpressions | default list) $others) -}}
{{- end -}}
{{- with $selector }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/*
Which pods are: those that say whether they want a sidecar, in whatever words, for the injector tells those whose words it
does not understand. Then the user's own conditions.
*/}}
{{- define "dapr_sidecar_injector.matchConditions" -}}
{{- $conditions := .Values.matchConditions | default list -}}
{{- if .Values.onlyAnnotatedPods -}}
{{- $annotated := dict "name" "annotated" "expression" "has(object.metadata.annotations) && 'dapr.io/enabled' in object.metadata.annotations" -}}
{{- $conditions = prepend $conditions $annotated -}}
{{- end -}}
{{- with $conditions }}{{ toYaml . }}{{ end -}}
{{- end -}}
