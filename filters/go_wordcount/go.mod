module nmp/filters/go_wordcount

go 1.21
