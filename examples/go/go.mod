module example.com/gemvec-go

go 1.24

require google.golang.org/genai v1.69.0
