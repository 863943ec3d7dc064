{{- define "gemvec.labels" -}}
app.kubernetes.io/name: gemvec
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
