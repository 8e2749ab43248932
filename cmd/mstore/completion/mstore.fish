# fish completion for mstore: mstore completion fish | source
function __mstore_complete
	set -l words (commandline -opc) (commandline -ct)
	mstore __complete -- $words[2..-1] 2>/dev/null
end
complete -c mstore -a '(__mstore_complete)'
